"""A graph that is played on two hosts, which are network namespaces: python -m tests.support.two_hosts FOLDER GRAPH

In a network of its own (`benchmarks.hosts.isolated`). FOLDER holds the keys `desk` and `vision`; prints JSON.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.hosts import Host, isolated
from tests.support.paths import ROOT

CONTROL = "tcp://{}:5570"


def played(folder: Path, graph: Path, *faults: str) -> dict[str, Any]:
    """What came of playing a graph in which {host} stands for this host's address."""
    command = isolated([sys.executable, "-m", "tests.support.two_hosts", str(folder), str(graph), *faults])
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=280)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    folder, graph, *faults = sys.argv[1:]
    with Host() as far:
        file = Path(folder) / "here.toml"
        file.write_text(Path(graph).read_text().replace("{host}", far.own_address))
        keys = {"--key": f"{folder}/vision.key_secret", "--server-key": f"{folder}/desk.key"}
        if "foreign key" in faults:
            keys["--key"] = f"{folder}/foreign.key_secret"
        if "foreign server" in faults:
            keys["--server-key"] = f"{folder}/foreign.key"
        given = [text for pair in keys.items() for text in pair]
        worker = far.python("emopipe", "worker", "--connect", CONTROL.format(far.own_address), *given, "--once")
        run = [sys.executable, "-m", "emopipe", "run", str(file)]
        with contextlib.ExitStack() as stack:
            pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
            there = None if "nobody" in faults else stack.enter_context(subprocess.Popen(worker, **pipes))
            here = stack.enter_context(subprocess.Popen(run, **pipes))
            try:
                if "killed" in faults and there is not None:
                    _kill_in_the_middle(there.pid, Path(folder) / "split.jsonl")
                _, said = here.communicate(timeout=240)
                found = {"code": here.returncode, "said": said}
                if there is not None:
                    _, said = there.communicate(timeout=30)
                    found |= {"worker code": there.returncode, "worker said": said}
            finally:
                for process in filter(None, (here, there)):
                    process.send_signal(signal.SIGKILL)
        print(json.dumps(found))


def _kill_in_the_middle(worker: int, results: Path) -> None:
    """Kill the process that takes part in the run, once there are results."""
    deadline = time.monotonic() + 120
    while not (results.exists() and results.stat().st_size > 10_000):
        assert time.monotonic() < deadline, "no results"
        time.sleep(0.01)
    (child,) = Path(f"/proc/{worker}/task/{worker}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)


if __name__ == "__main__":
    main()
