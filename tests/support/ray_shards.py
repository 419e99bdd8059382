"""A graph in two shards on a Ray cluster of two hosts, for the tests: python -m tests.support.ray_shards FOLDER

is run in a network of its own. `FOLDER/cluster.toml` is played there twice. While it plays, `emopipe top` is asked, and
which actors are on which host; the second time, the second node is killed. What became of it is printed as JSON.
"""

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.hosts import Host
from benchmarks.studies.cluster.nodes import Nodes
from tests.support.ray_nodes import actors, await_results, run


def main() -> None:
    folder = Path(sys.argv[1])
    found: dict[str, Any] = {}
    with Host() as far, Nodes(folder, far) as nodes:
        nodes.start_second()

        def look(process: "subprocess.Popen[str]") -> None:
            await_results(folder, "cluster", process)
            found["actors"] = sorted(Counter(Path(f"/proc/{pid}/ns/net").readlink() for pid in actors(nodes)).values())
            top = [sys.executable, "-m", "emopipe", "top", str(process.pid), "--once", "--json"]
            shown = subprocess.run(top, env=nodes.environment, capture_output=True, text=True, check=False)
            found["top"] = json.loads(shown.stdout) if shown.returncode == 0 else shown.stderr

        def kill(process: "subprocess.Popen[str]") -> None:
            await_results(folder, "cluster", process)
            nodes.kill_second()

        found["as it is"] = run(folder, "cluster", nodes.environment, during=look)
        found["node"] = run(folder, "cluster", nodes.environment, during=kill)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
