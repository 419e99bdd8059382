"""Results that are derived again: the run that made them, as their manifest has it, and what has changed since."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from emopipe.graphs.manifest import Manifest, manifest_path
from emopipe.graphs.messages import upstream
from emopipe.pipeline.errors import EmopipeError, GraphError
from emopipe.pipeline.graph.identity import FileIdentity, RunIdentity, changes, identify, identify_file
from emopipe.pipeline.graph.load import Graph, graph_from_table
from emopipe.pipeline.text import count

SHOWN_DIGITS = 12


@dataclass(frozen=True)
class Derivation:
    """How results are derived again.

    Attributes:
        graph: the run's, with nothing but what leads to the results, which go to another file.
        changed: what is not as it was then, and may change results, one sentence each, beginning with what it is.
        versions: what of the code is not as it was then.
    """

    graph: Graph
    changed: list[str]
    versions: list[str]


def derive(
    stored: Path, manifest: Manifest, recordings: Sequence[str], out: Path, other: Graph | None = None
) -> Derivation:
    """How to derive the results in `stored` again, into `out`, by what their manifest says.

    Args:
        stored: the file of results.
        manifest: its own.
        recordings: where the recordings are now, in the order of the graph; where they were if there are none.
        out: a file.
        other: a graph that is to be run instead of the manifest's.

    Raises:
        EmopipeError: the manifest does not fit the results or the recordings, or this emopipe.
    """
    path = manifest_path(stored)
    stages = manifest.run.graph.get("stages")
    if not isinstance(stages, dict) or not all(isinstance(stage, dict) for stage in stages.values()):
        raise EmopipeError(f"{path}: does not fit: it holds no graph")
    sink = stages.get(manifest.stage, {})
    if "inputs" not in sink:
        raise EmopipeError(f"{path}: does not fit: its graph has no stage {manifest.stage} that could write results")
    if sink.get("use") != "jsonl":
        raise EmopipeError(f"{path}: {stored.name} was written by {sink.get('use')}; only .jsonl files can be checked")
    if manifest.run.mode != "replay":
        raise EmopipeError(f"{path}: {stored.name} is of a live run, which cannot be run again; only a replay can")
    then = upstream(stages, [manifest.stage])
    graph = other if other is not None else _rebuilt(path, then, manifest, recordings, out)
    sinks = {manifest.stage, *(name for name, spec in graph.stages.items() if not spec.cls.outputs)}
    now = _without(identify(graph), sinks)
    changed = _results(stored, manifest)
    versions: list[str] = []
    before = _without(msgspec.structs.replace(manifest.run, graph={"stages": then}), sinks)
    for change in changes(_part(before, now), now):
        (versions if change.subject == "version" else changed).append(f"{change.subject}: {change.text}")
    return Derivation(graph, changed, versions)


def _rebuilt(path: Path, stages: dict[str, Any], manifest: Manifest, recordings: Sequence[str], out: Path) -> Graph:
    """The graph of a manifest's run, its results to `out`."""
    sink = {key: value for key, value in stages[manifest.stage].items() if key != "timing"}
    stages = {**stages, manifest.stage: {**sink, "path": str(out)}}
    _play_from(path, stages, recordings)
    try:
        return graph_from_table({"pipeline": manifest.run.graph.get("pipeline", {}), "stages": stages}, manifest.origin)
    except GraphError as error:
        problems = "; ".join(str(each) for each in error.problems)
        elsewhere = "" if recordings else "; recordings that lie elsewhere now are named after --check FILE"
        raise EmopipeError(f"{path}: its run cannot be made again: {problems}{elsewhere}") from None


def _without(run: RunIdentity, sinks: Collection[str]) -> RunIdentity:
    """A run, its graph without the sinks: where results go changes none."""
    stages = {name: _unpaced(stage) for name, stage in run.graph["stages"].items() if name not in sinks}
    return msgspec.structs.replace(run, graph={"stages": stages})


def _unpaced(stage: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in stage.items() if key != "realtime"}


def _part(run: RunIdentity, now: RunIdentity) -> RunIdentity:
    """What the part of a run that is made again depended on: its files are those of the same name or content."""

    def kept(then: list[FileIdentity], files: list[FileIdentity]) -> list[FileIdentity]:
        names, hashes = {Path(file.path).name for file in files}, {file.sha256 for file in files}
        return [file for file in then if Path(file.path).name in names or file.sha256 in hashes]

    return msgspec.structs.replace(
        run,
        weights=kept(run.weights, now.weights),
        recordings=kept(run.recordings, now.recordings),
        own_code=kept(run.own_code, now.own_code),
    )


def _results(stored: Path, manifest: Manifest) -> list[str]:
    """Whether the stored results are as they were written."""
    now, then = identify_file(stored), manifest.result
    if then.sha256 is None:
        return [f"results: the run that wrote {stored} did not come to its end"]
    if now.sha256 != then.sha256:
        digits = f"sha256 {(now.sha256 or '')[:SHOWN_DIGITS]}… now, {then.sha256[:SHOWN_DIGITS]}… then"
        return [f"results: {stored} is not what was written: {digits}"]
    return []


def _play_from(path: Path, stages: dict[str, Any], recordings: Sequence[str]) -> None:
    """Let the sources of a graph's table read `recordings`, as fast as they can."""
    left = list(recordings)
    asked = 0
    for name, stage in stages.items():
        if "inputs" in stage:
            continue
        key = {"file-capture": "uri", "messages": "path"}.get(stage.get("use", ""), "")
        was = stage.get(key, [])
        files = [was] if isinstance(was, str) else list(was)
        asked += len(files)
        if left[: len(files)] and files:
            chosen, left = left[: len(files)], left[len(files) :]
            stages[name] = {**stage, key: chosen[0] if isinstance(was, str) else chosen}
        if "realtime" in stage:
            stages[name] = {**stages[name], "realtime": False}
    if recordings and asked != len(recordings):
        raise EmopipeError(f"{path}: does not fit: its run had {count(asked, 'recording')}, not {len(recordings)}")
