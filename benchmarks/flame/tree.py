"""The samples of all processes as one tree: processes, our functions in them, and what they call of libraries."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from benchmarks.flame.sampler import IMPORTS

Kind = Literal["all", "pipeline", "stage", "kernel"]
"""What spends the time: processes, the pipeline's own code, stages and models, what libraries compute for these."""

START = ("setup", "open", "load", "warm_up")
"""Methods of stages and models that run once, before the first message."""

PASSED_OVER_SHARE = 0.95  # of a call's time in the only one below it, from which on that one is shown instead
PLUMBING = {
    **dict.fromkeys(("asyncio", "selectors"), "event loop"),
    **dict.fromkeys(("concurrent", "threading", "queue"), "hops between threads"),
    "zmq": "ZeroMQ",
}
COMPUTE_THREAD = ":ComputeThread."  # through which each stage calls what it computes
THREADS = {"drishti": "MediaPipe's threads", "ZMQbg": "ZeroMQ's threads"}
"""What the threads of libraries call themselves; others have no name of their own."""


@dataclass
class Node:
    """A call with those below it; `ns` is the CPU time of all of them."""

    name: str
    kind: Kind
    ns: int = 0
    children: dict[tuple[str, Kind], "Node"] = field(default_factory=dict)

    def add(self, path: Sequence[tuple[str, Kind]], ns: int) -> None:
        node = self
        node.ns += ns
        for name, kind in path:
            node = node.children.setdefault((name, kind), Node(name, kind))
            node.ns += ns

    def sorted(self) -> list["Node"]:
        """The children, the longest first."""
        return sorted(self.children.values(), key=lambda child: (-child.ns, child.name))

    def shortened(self) -> "Node":
        """The same without the calls that do nothing but call one other; processes stay."""
        kept = Node(self.name, self.kind, self.ns)
        for first in self.children.values():
            child = first
            while self.kind != "all" and len(child.children) == 1:
                (only,) = child.children.values()
                if only.ns < PASSED_OVER_SHARE * child.ns:
                    break
                child = Node(only.name, only.kind, child.ns, only.children)
            short = child.shortened()
            place = kept.children.setdefault((short.name, short.kind), Node(short.name, short.kind))
            place.take(short)
        return kept

    def take(self, other: "Node") -> None:
        """Add another node's time and calls to this one's."""
        self.ns += other.ns
        for key, child in other.children.items():
            self.children.setdefault(key, Node(child.name, child.kind)).take(child)


def read(folder: Path, name: str) -> tuple[Node, int]:
    """The tree of the samples in a folder, and the ns of CPU of imports and loading, which are left out of it."""
    root, start = Node(name, "all"), 0
    for file in sorted(folder.glob("*.json")):
        found = json.loads(file.read_text(encoding="utf-8"))
        process = _process(found["arguments"])
        for *stack, ns in found["stacks"]:
            if is_start(stack):
                start += ns
            else:
                root.add([(process, "all"), *path(stack)], ns)
    return root.shortened(), start


def path(stack: Sequence[str]) -> list[tuple[str, Kind]]:
    """The names that a stack is shown by, each with its kind."""
    if len(stack) == 1 and ":" not in stack[0]:
        name = next((shown for begin, shown in THREADS.items() if stack[0].startswith(begin)), "threads of libraries")
        return [(name, "pipeline" if "ZeroMQ" in name else "kernel")]
    ours = [place for place, call in enumerate(stack) if call.startswith("emopipe.") and COMPUTE_THREAD not in call]
    if not ours:
        return [(_library(stack), "pipeline")]
    names: list[tuple[str, Kind]] = [_own(stack[place]) for place in ours]
    behind = stack[ours[-1] + 1 :]
    kind: Kind = "kernel" if names[-1][1] == "stage" else names[-1][1]
    libraries = [call for call in behind if not call.startswith("()")]
    if libraries:
        names.append((_library(libraries), kind))
    elif behind:
        names.append((f"{behind[-1][2:]}()", kind))
    return [pair for place, pair in enumerate(names) if place == 0 or pair != names[place - 1]]


def is_start(stack: Sequence[str]) -> bool:
    """Whether a stack is of what happens once, before the first message."""
    return stack[0] == IMPORTS or any(
        call.startswith(("emopipe.stages.", "emopipe.models.")) and call.rpartition(".")[2] in START for call in stack
    )


def kernels(root: Node) -> Iterable[tuple[str, str, int]]:
    """What libraries compute for stages: the process, the caller with what it calls, and ns, the longest first."""
    found: dict[tuple[str, str], int] = {}
    for process in root.children.values():
        pending = [(process, process.name)]
        while pending:
            node, caller = pending.pop()
            for child in node.children.values():
                if child.kind == "kernel":
                    name = child.name if node is process else f"{caller} → {child.name}"
                    found[process.name, name] = found.get((process.name, name), 0) + child.ns
                else:
                    pending.append((child, child.name))
    return sorted(((*key, ns) for key, ns in found.items()), key=lambda row: -row[2])


def _process(arguments: Sequence[str]) -> str:
    """What a process is called: a worker by its stages, any other by what the supervisor runs in."""
    return arguments[-1] if arguments and arguments[0].endswith("worker.py") else "supervisor"


def _own(call: str) -> tuple[str, Kind]:
    module, _, function = call.partition(":")
    kind: Kind = "stage" if module.startswith(("emopipe.stages.", "emopipe.models.")) else "pipeline"
    return function.partition(".<locals>")[0], kind


def _library(calls: Sequence[str]) -> str:
    """The library that was called first; of several behind each other that one is what the caller knows."""
    names = [call.partition(":")[0].partition(".")[0] for call in calls if not call.startswith("()")]
    inner = next((name for name in reversed(names) if name in PLUMBING), None)
    if inner is not None:
        return PLUMBING[inner]
    return names[0].lstrip("_") if names else "Python"
