"""A graph in several copies, each with a share of the streams: `shards` in `[pipeline]`.

    graph = sharded(load_graph("street.toml", ["pipeline.shards=2"]))

The copy of `faces` in shard 1 is `faces.1`, in the process `faces.1`. Streams are dealt out evenly, in the order of the
sources: trackers, windows and joins are those of one stream, so no result depends on where its stream is played. Sinks
are not copied: files, pages and what is published are those of the whole.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import msgspec

from emopipe.pipeline.graph.check import ask, texts
from emopipe.pipeline.graph.parse import MAX_SHARDS, ParsedStage, PipelineSettings, Problems
from emopipe.pipeline.graph.spec import Graph, OutputRef, Remote, StageSpec, original
from emopipe.pipeline.message import MAX_STAGE_CHARS
from emopipe.pipeline.port import Queue
from emopipe.pipeline.text import count, show

AHEAD_MESSAGES = 20_000  # results of later recordings that a sink holds: 11 min at 30 a second, 75 MB with a face each
MAX_NAME_CHARS = MAX_STAGE_CHARS - len(f".{MAX_SHARDS - 1}")


def check_shards(
    stages: Mapping[str, ParsedStage], pipeline: PipelineSettings, remote: Remote, problems: Problems
) -> None:
    """Add what keeps a graph from being played in several shards to `problems`."""
    if pipeline.shards == 1:
        return
    where = ("pipeline", "shards")
    for stage in stages.values():
        if stage.cls is not None and not stage.cls.inputs and not ask(stage, "plays", texts, problems):
            unknown = f"{stage.name} ({stage.use}) does not know its streams before it plays, to share them out"
            problems.add(where, f"{unknown}; leave shards at 1, or take a source that does, such as file-capture")
        if len(stage.name) > MAX_NAME_CHARS or len(stage.process) > MAX_NAME_CHARS:
            problems.add(where, f"{show(stage.name)} leaves no room for the shard's number; choose a shorter name")
    for process in remote.processes:
        text = f"process {process} is started by hand on another host, and there is one of it"
        problems.add(where, f'{text}; leave shards at 1, or play on a cluster with label = {{ zone = "…" }}')


def sharded(graph: Graph) -> Graph:
    """The graph that is played: `graph` itself where it is to have one shard, or has one stream."""
    shares = deal(graph)
    if len(shares) < 2:
        return graph
    stages: dict[str, StageSpec] = {}
    for spec in graph.stages.values():
        if not spec.cls.inputs:
            copies = [copy for shard, share in enumerate(shares) for copy in _source(spec, shard, share)]
        elif spec.cls.outputs:
            copies = [_fed(_copy(spec, shard), [shard], stages) for shard in range(len(shares))]
        else:
            copies = [_fed(spec, range(len(shares)), stages)]
        needed = {port for port in spec.inputs if not spec.cls.inputs[port].optional}
        fed = [copy for copy in copies if needed <= copy.inputs.keys() and (copy.inputs or not spec.cls.inputs)]
        stages |= {copy.name: copy for copy in fed}
    turns: dict[str, int] = {}
    sources = [spec for spec in graph.stages.values() if not spec.cls.inputs]
    if graph.mode == "replay" and len(sources) == 1:  # from several they come in no order, in one shard neither
        turns = {stream: number % len(shares) for number, stream in enumerate(sources[0].settings.plays())}
        stages |= {name: _far_sighted(spec) for name, spec in stages.items() if not spec.cls.outputs}
    labels = {
        spec.process: graph.remote.labels[name]
        for spec in stages.values()
        if (name := original(spec.process)) in graph.remote.labels
    }
    return replace(graph, stages=stages, remote=graph.remote._replace(labels=labels), turns=turns)


def deal(graph: Graph) -> list[list[str]]:
    """The streams of each shard; no more shards than streams, and none where the graph is not to be divided."""
    if graph.shards == 1:
        return []
    sources = [spec.settings for spec in graph.stages.values() if not spec.cls.inputs]
    streams = list(dict.fromkeys(stream for settings in sources for stream in settings.plays()))
    shards = min(graph.shards, len(streams))
    return [streams[shard::shards] for shard in range(shards)]


def explain_shards(graph: Graph) -> list[str]:
    """Which streams each shard plays, a line each."""
    shares = deal(graph)
    fewer = f", not {graph.shards}: there is no more to divide" if len(shares) < graph.shards else ""
    lines = [f"  shard {shard}: {', '.join(streams)}" for shard, streams in enumerate(shares)]
    return [f"{count(len(shares), 'shard')}{fewer}", *lines]


def _copy(spec: StageSpec, shard: int) -> StageSpec:
    return replace(spec, name=f"{spec.name}.{shard}", process=f"{spec.process}.{shard}")


def _source(spec: StageSpec, shard: int, share: Sequence[str]) -> list[StageSpec]:
    """The copy of a source with those of its streams that are in `share`; none where there are none."""
    streams = spec.settings.plays()
    kept = [stream for stream in streams if stream in share]
    if not kept:
        return []
    part = spec.settings.part(kept) if kept != streams else {}
    settings = msgspec.structs.replace(spec.settings, **part)
    return [replace(_copy(spec, shard), settings=settings, table={**spec.table, **part})]


def _fed(spec: StageSpec, shards: Iterable[int], stages: Mapping[str, StageSpec]) -> StageSpec:
    """The stage with what feeds it in these shards; an input that nothing feeds there is left out."""
    inputs = {
        port: [
            OutputRef(name, feed.output) for feed in feeds for s in shards if (name := f"{feed.stage}.{s}") in stages
        ]
        for port, feeds in spec.inputs.items()
    }
    return replace(spec, inputs={port: feeds for port, feeds in inputs.items() if feeds})


def _far_sighted(sink: StageSpec) -> StageSpec:
    """A sink that holds results of other shards until it is their turn; pictures it lets wait where they are."""
    queues = {
        port: queue if sink.cls.inputs[port].type.large else Queue(size=max(queue.size, AHEAD_MESSAGES))
        for port, queue in sink.queues.items()
    }
    return replace(sink, queues=queues)
