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

from benchmarks.hosts import isolated
from tests.support.paths import ROOT
from tests.support.ray_hosts import kill_second_node, processes, run, workers_at_work
from tests.support.ray_nodes import two_nodes


def played(folder: Path) -> dict[str, Any]:
    """What became of the runs."""
    command = isolated([sys.executable, "-m", "tests.support.ray_shards", str(folder)])
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=480)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    found: dict[str, Any] = {}
    with two_nodes(Path(sys.argv[1])) as environment:

        def look(folder: Path) -> None:
            found["actors"] = sorted(
                Counter(Path(f"/proc/{pid}/ns/net").readlink() for pid in workers_at_work()).values()
            )
            (pid,) = [pid for pid, command in processes() if f"emopipe run {folder}/cluster.toml" in command]
            top = [sys.executable, "-m", "emopipe", "top", str(pid), "--once", "--json"]
            shown = subprocess.run(top, env=environment, capture_output=True, text=True, check=False)
            found["top"] = json.loads(shown.stdout) if shown.returncode == 0 else shown.stderr

        found["as it is"] = run(Path(sys.argv[1]), environment, during=look)
        found["node"] = run(Path(sys.argv[1]), environment, during=kill_second_node)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
