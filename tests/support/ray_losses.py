"""A Ray cluster of two nodes on two hosts, one of which is lost while graphs are played on it, for the tests.

    python -m tests.support.ray_losses FOLDER

is run in a network of its own: here the head, with the label zone=a, on another host a second node, zone=b, whose
monotonic clock is another where the system can do that. What became of the graphs in FOLDER is printed as JSON.
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.hosts import Host, isolated
from tests.support.paths import ROOT
from tests.support.processes import popen
from tests.support.ray_hosts import (
    CLOCK_AHEAD_S,
    COMMON,
    HEAD_PORT,
    RAY,
    in_this_test,
    kill_second_node,
    node,
    processes,
    until,
    workers_at_work,
)

RUN_TIMEOUT_S = 150.0
STARTED = "Ray runtime started"
TOO_BUSY = "timed out during startup"  # Ray gives itself 30 s
STARTS = 4
LINES = 30  # of results that show that a run plays, or plays on
# All of the head's only CPU, from another job: what asks for some has to go to the second node.
TAKE_THE_HEAD = """
import sys, ray
from ray.util.placement_group import placement_group
ray.init(logging_level="ERROR", log_to_driver=False)
ray.get(placement_group([{"CPU": 1}], bundle_label_selector=[{"zone": "a"}]).ready())
print("taken", flush=True)
sys.stdin.read()
"""


class Nodes:
    """Both nodes of a cluster, all in a folder; a context manager."""

    def __init__(self, folder: Path, far: Host) -> None:
        self._folder = folder
        self._far = far
        shift = ["unshare", "--time", "--monotonic", str(CLOCK_AHEAD_S), "--fork", "--kill-child"]
        self.shifted = subprocess.run([*shift, "true"], capture_output=True, check=False).returncode == 0
        self._shift = shift if self.shifted else []
        self.environment = os.environ | {
            "RAY_ADDRESS": f"{far.own_address}:{HEAD_PORT}",
            "RAY_TMPDIR": f"{folder}/ray",
            "TMPDIR": str(folder),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
        }

    def __enter__(self) -> "Nodes":
        address = self._far.own_address
        head = ["--head", f"--port={HEAD_PORT}", f"--node-ip-address={address}", "--labels=zone=a"]
        with contextlib.ExitStack() as stack:
            self._nodes = stack
            self._start("head", [RAY, "start", *head, "--include-dashboard=false"])
            self.start_second()
            self._nodes = stack.pop_all()
        return self

    def __exit__(self, *raised: object) -> None:
        self._nodes.close()

    def start_second(self) -> None:
        """Start the second node, again where it was lost."""
        second = [f"--address={self._far.own_address}:{HEAD_PORT}", f"--node-ip-address={self._far.address}"]
        self._start("second", [*self._far.enter(), *self._shift, RAY, "start", *second, "--labels=zone=b"])

    def _start(self, name: str, command: list[Any]) -> None:
        log = self._folder / f"{name}.log"
        for _ in range(STARTS):
            self._nodes.enter_context(node([*command, *COMMON], self.environment, log))
            until(lambda: any(word in log.read_text() for word in (STARTED, TOO_BUSY)), f"{name} node")
            if STARTED in log.read_text():
                return
        raise AssertionError(log.read_text())

    @contextlib.contextmanager
    def head_taken(self) -> Iterator[Callable[[], object]]:
        """Have another job take what the head has; gives what ends that job."""
        with popen([sys.executable, "-c", TAKE_THE_HEAD], env=self.environment, stdin=subprocess.PIPE) as job:
            assert job.stdout is not None
            try:
                assert job.stdout.readline() == "taken\n", job.communicate()
                yield job.communicate
            finally:
                job.kill()


def played(folder: Path) -> dict[str, Any]:
    """What became of the runs."""
    command = isolated([sys.executable, "-m", "tests.support.ray_losses", str(folder)])
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=560)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    folder = Path(sys.argv[1])
    with Host() as far, Nodes(folder, far) as nodes:
        found: dict[str, Any] = {"shifted": nodes.shifted}
        if (folder / "media.toml").exists():
            found["media"] = run(folder, "media", nodes.environment, f"--trace={folder}/media.trace")
        found["never"] = interrupted(folder, nodes, '--set=pipeline.supervision.restart="never"')
        nodes.start_second()
        found["elsewhere"] = interrupted(folder, nodes)
        found["left"] = left()
        found["memory left"] = [path.name for path in Path("/dev/shm").glob("*emopipe*")]
        found["next"] = run(folder, "short", nodes.environment)
        found["folders left"] = [path.name for path in folder.glob("emopipe-run-*")]
    print(json.dumps(found))


def interrupted(folder: Path, nodes: Nodes, *options: str) -> dict[str, Any]:
    """Play `live.toml` on the second node, and kill that; where the run goes on, end it after a while."""
    results = folder / "live.jsonl"

    def lines() -> int:
        return results.read_bytes().count(b"\n") if results.exists() else 0

    with nodes.head_taken() as give_back:

        def strike(process: "subprocess.Popen[str]") -> None:
            until(lambda: process.poll() is not None or lines() > LINES, "results")
            give_back()
            kill_second_node(folder)
            until(lambda: process.poll() is not None or b'"gap"' in results.read_bytes(), "end of the run, and no gap")
            before = lines()
            until(lambda: process.poll() is not None or lines() > before + LINES, "results after the gap")
            process.send_signal(signal.SIGINT)

        return run(folder, "live", nodes.environment, *options, during=strike)


def run(
    folder: Path,
    graph: str,
    environment: dict[str, str],
    *options: str,
    during: Callable[["subprocess.Popen[str]"], None] = lambda process: None,
) -> dict[str, Any]:
    """Play a graph of the folder on the cluster; its results are taken away."""
    results, figures = folder / f"{graph}.jsonl", folder / "figures.json"
    command = [sys.executable, "-m", "emopipe", "run", str(folder / f"{graph}.toml"), "--on", "ray", *options]
    with popen([*command, "--json", str(figures)], env=environment) as process:
        try:
            during(process)
            _, said = process.communicate(timeout=RUN_TIMEOUT_S)
        finally:
            process.kill()
    text = results.read_text() if results.exists() else ""
    results.unlink(missing_ok=True)
    counted = json.loads(figures.read_text()) if figures.exists() else {}
    figures.unlink(missing_ok=True)
    return {"code": process.returncode, "said": said, "results": text, "figures": counted}


def left() -> list[str]:
    """What of the runs is still there: actors, and workers on this host."""
    workers = [
        command for pid, command in processes() if "emopipe.pipeline.runtime.worker" in command and in_this_test(pid)
    ]
    return [*map(str, workers_at_work()), *workers]


if __name__ == "__main__":
    main()
