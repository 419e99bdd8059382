"""About how much memory a graph's processes take, and how much there is: said before anything plays."""

import contextlib
from pathlib import Path

from emopipe.pipeline.graph.spec import Graph
from emopipe.pipeline.text import count

SUPERVISOR_MB, PROCESS_MB = 60.0, 30.0  # PSS, measured; a process without its stages


def shortage(graph: Graph, free: float | None) -> str:
    """A sentence that says by how much `free` (MB) is too little for a graph; empty where it is enough or unknown.

    What is on another host is not counted.
    """
    here = [name for name in graph.processes if name not in graph.remote.processes]
    stages = sum(stage.cls.memory_mb for stage in graph.stages.values() if stage.process in here)
    need = SUPERVISOR_MB + PROCESS_MB * len(here) + stages
    if free is None or need <= free:
        return ""
    remedy = 'play fewer stages, or let them share processes (layout = "auto")'
    needed = f"{count(len(here), 'process')} and this one need about {need:.0f} MB of memory"
    return f"{needed}, but {free:.0f} MB are free; {remedy}"


def free_memory_mb(root: Path = Path("/")) -> float | None:
    """What programs may still take (MB), the limit of this process's control group included; None if unknown.

    Linux only: it reads `proc` and `sys` below `root`.
    """
    free = []
    with contextlib.suppress(OSError, KeyError, ValueError):
        free.append(_table(root / "proc/meminfo")["MemAvailable:"] * 1024)
    with contextlib.suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            own = line.partition("0::/")[2] if line.startswith("0::/") else None  # version 2
            folder = root / "sys/fs/cgroup" / (own or "")
            for group in [folder, *folder.parents] if own is not None else []:
                with contextlib.suppress(OSError, KeyError, ValueError):  # "max", or no limit can be set here
                    limit, used = (int((group / f"memory.{name}").read_text()) for name in ("max", "current"))
                    free.append(limit - used + _table(group / "memory.stat")["inactive_file"])
    return min(free) / 1e6 if free else None


def _table(path: Path) -> dict[str, int]:
    rows = (line.split() for line in path.read_text().splitlines())
    return {name: int(value) for name, value, *_ in rows}
