"""A Ray cluster of two nodes on two hosts, one of which is lost while graphs are played on it, for the tests.

    python -m tests.support.ray_losses FOLDER RECORDING…

is run in a network of its own. What became of the graphs in FOLDER, and of the recordings, is printed as JSON.
"""

import contextlib
import json
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.hosts import Host
from benchmarks.studies.cluster.media import compare
from benchmarks.studies.cluster.nodes import Nodes, until
from tests.support.processes import popen
from tests.support.ray_nodes import left, run

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


def main() -> None:
    folder = Path(sys.argv[1])
    with Host() as far, Nodes(folder, far) as nodes:
        nodes.start_second()
        found: dict[str, Any] = {"shifted": bool(nodes.shift)}
        if recordings := list(map(Path, sys.argv[2:])):
            found["media"] = replayed(recordings, nodes, folder)
        found["never"] = interrupted(folder, nodes, '--set=pipeline.supervision.restart="never"')
        nodes.start_second()
        found["elsewhere"] = interrupted(folder, nodes)
        found["left"] = left(nodes)
        found["memory left"] = [path.name for path in Path("/dev/shm").glob("*emopipe*")]
        found["next"] = run(folder, "short", nodes.environment)
        found["folders left"] = [path.name for path in folder.glob("emopipe-run-*")]
    print(json.dumps(found))


def replayed(recordings: list[Path], nodes: Nodes, folder: Path) -> dict[str, Any]:
    """What became of recordings, in one process and on two nodes."""
    found = compare(recordings, nodes, folder, realtime=False)
    return {
        "here": found.here.results,
        "there": found.there.results,
        "crossed": Counter(each.output for each in found.crossed),
        "errors": sorted({each.error for each in found.crossed}),
        "early": found.early,
    }


def interrupted(folder: Path, nodes: Nodes, *options: str) -> dict[str, Any]:
    """Play `live.toml` on the second node, and kill that; where the run goes on, end it after a while."""
    results = folder / "live.jsonl"

    def lines() -> int:
        return results.read_bytes().count(b"\n") if results.exists() else 0

    with head_taken(nodes.environment) as give_back:

        def strike(process: "subprocess.Popen[str]") -> None:
            until(lambda: process.poll() is not None or lines() > LINES, "results")
            give_back()
            nodes.kill_second()
            until(lambda: process.poll() is not None or b'"gap"' in results.read_bytes(), "end of the run, and no gap")
            before = lines()
            until(lambda: process.poll() is not None or lines() > before + LINES, "results after the gap")
            process.send_signal(signal.SIGINT)

        return run(folder, "live", nodes.environment, *options, during=strike)


@contextlib.contextmanager
def head_taken(environment: Mapping[str, str]) -> Iterator[Callable[[], object]]:
    """Have another job take what the head has; gives what ends that job."""
    with popen([sys.executable, "-c", TAKE_THE_HEAD], env=environment, stdin=subprocess.PIPE) as job:
        assert job.stdout is not None
        try:
            assert job.stdout.readline() == "taken\n", job.communicate()
            yield job.communicate
        finally:
            job.kill()


if __name__ == "__main__":
    main()
