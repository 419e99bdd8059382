"""An archive on a Ray cluster of two hosts, for the tests: stopped by Ctrl-C, and gone on with while a node is killed.

    python -m tests.support.ray_archive FOLDER emopipe-archive-arguments…

is run in a network of its own; what became of it is printed as JSON.
"""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.hosts import isolated
from tests.support.paths import ROOT
from tests.support.processes import popen
from tests.support.ray_hosts import in_this_test, kill_second_node, processes, until
from tests.support.ray_nodes import two_nodes

RUN_TIMEOUT_S = 120.0


def archived(folder: Path, arguments: list[str]) -> dict[str, Any]:
    """What became of it."""
    command = isolated([sys.executable, "-m", "tests.support.ray_archive", str(folder), *arguments])
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    folder, arguments = Path(sys.argv[1]), sys.argv[2:]
    found: dict[str, Any] = {}
    with two_nodes(folder) as environment:
        command = [sys.executable, "-m", "emopipe", *arguments, "--on", "ray"]
        out = Path(arguments[arguments.index("--out") + 1])
        found["stopped"] = _run(command, environment, out, 1, lambda process: process.send_signal(signal.SIGINT))
        found["left"] = left()
        begun = lines(out)
        found["gone on with"] = _run(command, environment, out, begun + 1, lambda _: kill_second_node(folder))
        found["over when stopped"] = begun
        found["left"] += left()
    print(json.dumps(found))


def _run(command: list[str], environment: dict[str, str], out: Path, least: int, act: Any) -> dict[str, Any]:
    """Run the command, and do something when so many recordings are over."""
    with popen(command, env=environment) as process:
        try:
            until(lambda: process.poll() is not None or lines(out) >= least, "recordings")
            act(process)
            _, said = process.communicate(timeout=RUN_TIMEOUT_S)
        finally:
            process.kill()
    return {"code": process.returncode, "said": said}


def lines(out: Path) -> int:
    """How many recordings are over."""
    journal = out / ".archive/journal"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def left() -> list[str]:
    """The actors and processes that still play."""
    return [
        command
        for pid, command in processes()
        if (command.startswith("ray::RayPlayer") or "emopipe.archive.job" in command) and in_this_test(pid)
    ]


if __name__ == "__main__":
    main()
