"""Graphs with recorded messages: which outputs to record, and a recording in the place of what sent it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from emopipe.graphs.replay import replay_table, results_for
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.load import Graph

RECORDER, PLAYER = "recording", "messages"  # how the stages are called that are added to a graph
SUFFIX = ".mcap"

Stages = dict[str, Any]


def recordable(graph: Graph) -> tuple[list[str], list[str]]:
    """The outputs that are recorded unless others are named, and those that are not: they hold pictures or sound."""
    outputs = [
        (f"{name}.{output}", port.type.raw)
        for name, spec in graph.stages.items()
        for output, port in spec.cls.outputs.items()
    ]
    return [name for name, raw in outputs if not raw], [name for name, raw in outputs if raw]


def record_table(table: dict[str, Any], outputs: Sequence[str], out: Path) -> dict[str, Any]:
    """A graph's table with a stage that records `outputs`, each as a channel of its name.

    Raises:
        EmopipeError: the graph has a stage of that name already.
    """
    if RECORDER in table["stages"]:
        raise EmopipeError(
            f'the graph has a stage {RECORDER} already; rename it, or let a stage of your own record (use = "mcap")'
        )
    recorder = {"use": "mcap", "path": str(out), "inputs": {output: output for output in dict.fromkeys(outputs)}}
    return {**table, "stages": {**table["stages"], RECORDER: recorder}}


def subscription_table(endpoint: str) -> dict[str, Any]:
    """A graph that takes what another run publishes: its results come from where the default graph makes them."""
    return {"pipeline": {"mode": "live"}, "stages": {"fusion": {"use": "subscription", "endpoint": endpoint}}}


def recordings_table(
    table: dict[str, Any], files: list[str], outs: list[Path], *, realtime: bool, page: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """A graph's table with recordings in the place of its source, or of the stages whose messages they hold.

    Returns:
        The table, and the graph's own sinks that are left out, since recorded messages cannot feed them.

    Raises:
        EmopipeError: the graph does not fit them, or several files of messages are given, or one that cannot be played.
    """
    if not any(Path(file).suffix == SUFFIX for file in files):
        return replay_table(table, files, outs, realtime=realtime, page=page), []
    if len(files) > 1 or page:
        raise EmopipeError(f"{files[0]}: recorded messages are replayed one file at a time, and without --page")
    from emopipe.stages.messages.reader import MessageRecording

    recording = MessageRecording(files[0], partial=True)  # whether a part will do is a setting of the stage
    recording.close()
    return replay_messages_table(table, files[0], recording.channels, outs, realtime=realtime)


def replay_messages_table(
    table: dict[str, Any], file: str, channels: Collection[str], outs: list[Path], *, realtime: bool
) -> tuple[dict[str, Any], list[str]]:
    """A graph's table in which a recording takes the place of what sent its messages, but of no more than it must.

    A stage is run again where all that it needs is in the recording, or can be made of that; results that were
    recorded are played only where they cannot be made.

    Returns:
        The table, and the graph's own sinks that cannot be fed.

    Raises:
        EmopipeError: one of `outs` cannot be fed, or is of an unknown kind.
    """
    stages = table.get("stages")
    if not isinstance(stages, dict) or not all(isinstance(stage, dict) for stage in stages.values()):
        return table, []  # whoever loads it says what is wrong
    if PLAYER in stages:
        raise EmopipeError(f"the graph has a stage {PLAYER} already; play it with `emopipe run`, or rename that stage")
    stages = dict(stages)
    video = next((f"{name}.video" for name, stage in stages.items() if "inputs" not in stage), "capture.video")
    results_for(stages, [file], outs, video)
    found = _Availability(stages, channels)
    feeding = {_stage(source) for stage in stages.values() for source in _sources(stage)}
    sinks = [name for name, stage in stages.items() if name not in feeding and "inputs" in stage]
    for number, out in enumerate(outs):
        if missing := found.missing(f"out{number}"):
            source = missing[0]
            raise EmopipeError(
                f"{file}: has no channel {source}, which --out {out} needs, and {_stage(source)} cannot be run on what "
                f"is there; record {source}, or what it is made of"
            )
    fed = [name for name in sinks if not found.missing(name)]
    kept = upstream({name: found.fed(name) for name in stages} | {PLAYER: {}}, fed)
    kept[PLAYER] = {"use": "messages", "path": file, "realtime": realtime}
    pipeline = table.get("pipeline", {})
    pipeline = dict(pipeline) if isinstance(pipeline, dict) else {}
    pipeline |= {"name": "replay", "mode": "replay"}
    return {**table, "pipeline": pipeline, "stages": kept}, [name for name in sinks if name not in fed]


class _Availability:
    """What of a graph can be had from a recording.

    Args:
        stages: the tables of the graph's stages.
        channels: what was recorded.
    """

    def __init__(self, stages: Stages, channels: Collection[str]) -> None:
        self._stages = stages
        self._channels = channels
        self._runnable: dict[str, bool] = {}

    def missing(self, stage: str) -> list[str]:
        """What feeds a stage and cannot be had."""
        sources = _sources(self._stages[stage])
        return [each for each in sources if not self._can_run(_stage(each)) and each not in self._channels]

    def fed(self, stage: str) -> dict[str, Any]:
        """The stage's table, fed by the recording where what feeds it cannot be run."""
        table: dict[str, Any] = self._stages[stage]
        inputs = table.get("inputs")
        if not isinstance(inputs, dict):
            return table
        return {**table, "inputs": {port: self._taken(source) for port, source in inputs.items()}}

    def _can_run(self, stage: str) -> bool:
        """Whether all that a stage needs can be had; a source cannot be run again."""
        if stage not in self._runnable:
            self._runnable[stage] = False  # until it is known: of a cycle nothing can be had
            known = stage in self._stages and "inputs" in self._stages[stage]
            self._runnable[stage] = known and not self.missing(stage)
        return self._runnable[stage]

    def _taken(self, source: Any) -> Any:
        if isinstance(source, list):
            return [self._taken(each) for each in source]
        known = isinstance(source, str) and source in self._channels and not self._can_run(_stage(source))
        return f"{PLAYER}.{source}" if known else source


def upstream(stages: Mapping[str, Any], names: Iterable[str]) -> Stages:
    """The stages called `names`, and all that leads to them, in the order of the graph."""
    needed: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in stages and name not in needed:
            needed.add(name)
            waiting += [_stage(source) for source in _sources(stages[name])]
    return {name: stage for name, stage in stages.items() if name in needed}


def _sources(stage: Mapping[str, Any]) -> list[str]:
    """What feeds a stage, as far as its table is one."""
    inputs = stage.get("inputs")
    given = list(inputs.values()) if isinstance(inputs, dict) else []
    flat = [each for source in given for each in (source if isinstance(source, list) else [source])]
    return [each for each in flat if isinstance(each, str)]


def _stage(source: str) -> str:
    return source.partition(".")[0]
