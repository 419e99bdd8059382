"""Samples of our worker processes: memory, processor time, threads and open files, read from /proc."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

PROC = Path("/proc")


@dataclass(frozen=True)
class Sample:
    """One process at one moment: resident memory in MB, processor time in s, and how many threads and open files."""

    memory: float
    cpu: float
    threads: int
    files: int


def workers(parent: int | None = None) -> dict[str, int]:
    """The process id of each worker that a process has started, this one unless another is given, by its name."""
    found = children(b"emopipe.pipeline.runtime.worker", os.getpid() if parent is None else parent)
    return {arguments[-2].decode(): process for process, arguments in found.items()}


def children(module: bytes, parent: int) -> dict[int, list[bytes]]:
    """The processes that `parent` has started to run a module, with their arguments."""
    found = {}
    for folder in PROC.iterdir():
        if folder.name.isdecimal() and _parent(folder) == parent:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
            if module in arguments:
                found[int(folder.name)] = arguments
    return found


def sample(process: int) -> Sample | None:
    """Sample a process; None if it is gone."""
    folder = PROC / str(process)
    try:
        status = dict(line.split(":\t", 1) for line in (folder / "status").read_text().splitlines() if ":\t" in line)
        fields = (folder / "stat").read_text().rpartition(")")[2].split()
        files = len(list((folder / "fd").iterdir()))
        memory = int(status["VmRSS"].split()[0]) / 1024
    except (OSError, KeyError):
        return None
    ticks = int(fields[11]) + int(fields[12])
    return Sample(memory, ticks / os.sysconf("SC_CLK_TCK"), int(status["Threads"]), files)


def _parent(folder: Path) -> int:
    try:
        return int((folder / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:  # it has ended meanwhile
        return 0


class Memory(NamedTuple):
    """Of one process, in MB: its part of what is in memory (proportional set size), and all that it sees (resident)."""

    pss: float
    rss: float


def memory(process: int) -> Memory | None:
    """What a process has in memory; None if it is gone."""
    try:
        lines = (PROC / str(process) / "smaps_rollup").read_text().splitlines()[1:]
        kb = {key: int(rest.split()[0]) for key, _, rest in (line.partition(":") for line in lines)}
        return Memory(kb["Pss"] * 1024 / 1e6, kb["Rss"] * 1024 / 1e6)
    except (OSError, KeyError):
        return None


def tree(root: int) -> dict[str, int]:
    """The processes below one, and itself: process ids by what they are, a worker by its name."""
    found = {"emopipe": root}
    for name, process in workers(root).items():
        found[name] = process
    known = set(found.values())
    for folder in PROC.iterdir():
        if folder.name.isdecimal() and int(folder.name) not in known and _parent(folder) in known:
            found[f"other {folder.name}"] = int(folder.name)
    return found
