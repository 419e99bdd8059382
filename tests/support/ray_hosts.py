"""A Ray cluster of two hosts, for the tests of graphs that are played on it.

    python -m tests.support.ray_hosts FOLDER

is run in a network of its own. `FOLDER/cluster.toml` is played there once as it is, once while an actor is killed,
once while the whole second node is; what was said and left over is printed as JSON.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.hosts import Host
from benchmarks.studies.cluster.nodes import ClusterProcesses, Nodes
from tests.support.ray_nodes import actors, await_results, run

# A busy machine answers late: its clocks may be off by a tenth of the budget.
LIVE = [
    "--set=pipeline.mode=live",
    "--set=pipeline.latency_budget=60",
    "--set=stages.capture.realtime=true",
    "--set=stages.capture.duration=4",
]


def played_alone(folder: Path) -> dict[str, Any]:
    """What becomes of a run that has to start a cluster, and which of its processes are left."""
    cluster = ClusterProcesses(folder / "alone")  # where none has been
    environment = os.environ | cluster.environment | {"TMPDIR": str(folder)}
    environment.pop("RAY_ADDRESS", None)
    found = run(folder, "cluster", environment, "--set=processes={}")
    left = [command for _, command in cluster]
    return found | {"left": left, "folders": [path.name for path in folder.glob("emopipe-run-*")]}


def main() -> None:
    folder = Path(sys.argv[1])
    with Host() as far, Nodes(folder, far) as nodes:
        nodes.start_second()
        found: dict[str, Any] = {"shifted": bool(nodes.shift)}

        def kill_actors(process: "subprocess.Popen[str]") -> None:
            await_results(folder, "cluster", process)
            for pid in actors(nodes):
                os.kill(pid, signal.SIGKILL)

        def kill_node(process: "subprocess.Popen[str]") -> None:
            await_results(folder, "cluster", process)
            nodes.kill_second()

        here = nodes.environment
        found["as it is"] = run(folder, "cluster", here)
        found["live"] = run(folder, "cluster", here, *LIVE, f"--trace={folder}/live.trace")
        found["trace"] = (folder / "live.trace").read_text()
        found["label"] = run(folder, "cluster", here, '--set=processes.vision.label={ zone = "c" }')
        found["actor"] = run(folder, "cluster", here, during=kill_actors)
        found["folders left"] = [path.name for path in folder.glob("emopipe-run-*")]
        found["node"] = run(folder, "cluster", here, during=kill_node)
        found["actors left"] = actors(nodes)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
