"""A graph once it is known to be right: stages in topological order, their settings, and the links between them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple, Self

import msgspec

from emopipe.pipeline.access.keys import KeyPair
from emopipe.pipeline.graph.monitoring import Monitoring
from emopipe.pipeline.graph.registry import type_name
from emopipe.pipeline.port import Layout, LinkId, Mode, Queue, Settings
from emopipe.pipeline.source import Source
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.supervision.settings import Supervision


@dataclass(frozen=True)
class OutputRef:
    """Where an input takes its messages from: one output of one stage."""

    stage: str
    output: str

    def __str__(self) -> str:
        return f"{self.stage}.{self.output}"


class RemoteProcess(NamedTuple):
    """A process on another host.

    Attributes:
        key: the public key of who runs it.
        given: that key as the graph gives it, often a file.
        wait: s that it has to come.
        host: what tells the hosts apart where several processes may share one; empty where it has one of its own.
    """

    key: str
    given: str
    wait: float
    host: str = ""


class Remote(NamedTuple):
    """What of a graph runs on other hosts.

    Attributes:
        endpoint: where they find the run.
        secret_key: file of the run's own key.
        processes: by their names.
        labels: what a node of a cluster must have, for the processes that say so.
        pair: the run's own key, where it was made for this run.
    """

    endpoint: str = ""
    secret_key: str = ""
    processes: Mapping[str, RemoteProcess] = MappingProxyType({})
    labels: Mapping[str, Mapping[str, str]] = MappingProxyType({})
    pair: KeyPair | None = None

    def host(self, process: str) -> str:
        """What tells the host of a process from others; empty for this one."""
        remote = self.processes.get(process)
        return remote.host or remote.key if remote is not None else ""


class Link(msgspec.Struct, frozen=True):
    """One output joined to one input.

    Attributes:
        queue: the input's; each of its links has one of its own.
        local: whether both ends are in the same process.
        remote: whether an end is in a process on another host, and the other is not in the same.
    """

    id: LinkId
    queue: Queue
    local: bool
    remote: bool


@dataclass(frozen=True)
class StageSpec:
    """One stage of a graph.

    Attributes:
        name: in the graph.
        use: what `emopipe.pipeline.graph.registry.resolve` turns into `cls`.
        settings: an instance of `cls.Settings`.
        table: the settings as plain data, as the graph has them; enough, with `use`, to make the stage elsewhere.
        inputs: what feeds each input; an optional input that nothing feeds is left out.
        queues: of every input, as they hold in the graph's mode (in replay mode all of them block).
        process: the process the stage runs in; stages that name the same share one.
        supervision: how it is watched and restarted.
        gpus: that it takes of a node, where a cluster places it.
    """

    name: str
    use: str
    cls: type[Stage]
    settings: Settings
    table: dict[str, Any]
    inputs: dict[str, list[OutputRef]]
    queues: dict[str, Queue]
    process: str
    supervision: Supervision = field(default_factory=Supervision)
    gpus: float = 0.0

    @property
    def carried(self) -> dict[str, str]:
        """What each input carries, as `registry.type_name` has it."""
        return {port: type_name(declared.type) for port, declared in self.cls.inputs.items()}


@dataclass(frozen=True)
class Graph:
    """A checked graph.

    Attributes:
        stages: in topological order: each comes after all that feed it, and else as the file has them.
        path: the file it came from; modules beside it can be used as stages.
        latency_budget: s from capture to sink; none in replay mode, which waits for everything.
        monitoring: where the run can be watched from outside.
        remote: the processes that somebody starts on other hosts.
        layout: how it was chosen which stages share a process.
        shards: in how many copies it is to be played, each with a share of the streams (`graph.shards`).
        turns: of a graph in several copies, the shard of each stream, in the order that sinks keep; empty for none.
    """

    name: str
    mode: Mode
    stages: Mapping[str, StageSpec]
    path: Path
    latency_budget: float | None
    monitoring: Monitoring = field(default_factory=Monitoring)
    remote: Remote = field(default_factory=Remote)
    layout: Layout = "stages"
    shards: int = 1
    turns: Mapping[str, int] = field(default_factory=dict)

    @property
    def links(self) -> list[Link]:
        """All links, in the order of the stages they lead to."""
        return [
            Link(LinkId(feed.stage, feed.output, spec.name, port), spec.queues[port], local, remote)
            for spec in self.stages.values()
            for port, feeds in spec.inputs.items()
            for feed in feeds
            for local, remote in [self._reach(self.stages[feed.stage].process, spec.process)]
        ]

    def _reach(self, sender: str, receiver: str) -> tuple[bool, bool]:
        """Whether two processes are one, and whether a link between them leads to another host."""
        return sender == receiver, self.remote.host(sender) != self.remote.host(receiver)

    @property
    def processes(self) -> dict[str, list[str]]:
        """The stages of each process."""
        groups: dict[str, list[str]] = {}
        for spec in self.stages.values():
            groups.setdefault(spec.process, []).append(spec.name)
        return groups

    @property
    def unrepeatable(self) -> str:
        """Why the graph cannot be played again after a crash, as a sentence; empty where it can, or need not.

        In live mode each process is restarted by itself, and nothing is played again.
        """
        if self.mode == "live":
            return ""
        kinds = {original(name): spec.cls for name, spec in self.stages.items()}
        return unrepeatable(list(kinds.items()))

    def in_one_process(self) -> Self:
        """The same graph with all stages in one process, on this host; in one shard, for it has nothing to divide."""
        stages = {name: replace(spec, process="all") for name, spec in self.stages.items()}
        return replace(self, stages=stages, remote=Remote(), shards=1)


def original(name: str) -> str:
    """The name in the graph of a stage or process that may be a copy in a shard: `faces` of `faces.1`."""
    return name.partition(".")[0]


def copy_of(name: str) -> str:
    """The number of the shard that a stage or process is a copy in: `1` of `faces.1`; empty where it is no copy."""
    return name.partition(".")[2]


def unrepeatable(stages: Sequence[tuple[str, type[Stage]]]) -> str:
    """Why a replay of these stages cannot begin anew after a crash, as a sentence; empty where it can."""
    sources = [(name, cls) for name, cls in stages if issubclass(cls, Source)]
    for name, cls in sources:
        if not cls.repeatable:
            return f"{name} ({cls.name}) cannot bring the same again, which a restart in replay mode needs"
    if len(sources) > 1:
        names = " and ".join(name for name, _ in sources)
        return f"{names} bring their streams at once, in an order that a restart in replay mode could not repeat"
    return ""
