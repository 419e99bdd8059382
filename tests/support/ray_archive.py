"""An archive on a Ray cluster of two hosts, for the tests: stopped by Ctrl-C, and gone on with while a node is killed.

    python -m tests.support.ray_archive FOLDER emopipe-archive-arguments…

is run in a network of its own; what became of it is printed as JSON.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.hosts import Host
from benchmarks.studies.cluster.nodes import Nodes, until
from tests.support.processes import popen
from tests.support.ray_nodes import left

RUN_TIMEOUT_S = 120.0


def main() -> None:
    folder, arguments = Path(sys.argv[1]), sys.argv[2:]
    found: dict[str, Any] = {}
    with Host() as far, Nodes(folder, far) as nodes:
        nodes.start_second()
        command = [sys.executable, "-m", "emopipe", *arguments, "--on", "ray"]
        out = Path(arguments[arguments.index("--out") + 1])

        def archive(least: int, act: Callable[["subprocess.Popen[str]"], None]) -> dict[str, Any]:
            """Run the command, and do something when so many recordings are over."""
            with popen(command, env=nodes.environment) as process:
                try:
                    until(lambda: process.poll() is not None or lines(out) >= least, "recordings")
                    act(process)
                    _, said = process.communicate(timeout=RUN_TIMEOUT_S)
                finally:
                    process.kill()
            return {"code": process.returncode, "said": said}

        found["stopped"] = archive(1, lambda process: process.send_signal(signal.SIGINT))
        found["left"] = left(nodes)
        begun = lines(out)
        found["gone on with"] = archive(begun + 1, lambda _: nodes.kill_second())
        found["over when stopped"] = begun
        found["left"] += left(nodes)
    print(json.dumps(found))


def lines(out: Path) -> int:
    """How many recordings are over."""
    journal = out / ".archive/journal"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


if __name__ == "__main__":
    main()
