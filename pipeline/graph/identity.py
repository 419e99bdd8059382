"""What a run's results depend on: its graph with every setting, weights, recordings, and the code that runs them.

    before, now = identify(graph), identify(other)
    for change in changes(before, now):
        print(change.subject, change.text)

In replay mode the same identity gives the same bytes. To hash the files takes about 0.8 s a GB (measured: 1.3 GiB/s of
SHA-256 on one core), beside reading them.
"""

import contextlib
import hashlib
import importlib.metadata
import inspect
import os
import platform
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

import emopipe
from emopipe.pipeline.graph.registry import is_own
from emopipe.pipeline.graph.spec import Graph, StageSpec
from emopipe.pipeline.port import Mode
from emopipe.pipeline.text import key_path, show

CODE_ROOMS = ("pipeline", "stages", "models")  # whose code decides what results are
LAYOUT_KEYS = ("process", "queue")  # of a stage's table: in replay mode they change no result
SHOWN_DIGITS = 12  # of a hash in a sentence

Subject = Literal["mode", "graph", "weights", "recording", "version"]


class FileIdentity(msgspec.Struct, frozen=True):
    """A file by its content. `sha256` is None, and `size` 0, where it cannot be read or is no regular file."""

    path: str
    size: int
    sha256: str | None


class RunIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """What the results of a run depend on.

    Attributes:
        mode: only a replay gives the same bytes again.
        graph: as a graph's file has it, with every setting that holds and with absolute paths: `graph_from_table`
            makes the graph of it.
        weights: what the stages load, whether a setting names it or not, by path.
        recordings: what else they read, by path.
        own_code: the files of stages of the user's own, by path.
        code: SHA-256 of emopipe's own code, since a checkout may differ from its version.
        versions: of emopipe, Python and the libraries that emopipe requires.
    """

    mode: Mode
    graph: dict[str, Any]
    weights: list[FileIdentity]
    recordings: list[FileIdentity]
    own_code: list[FileIdentity]
    code: str
    versions: dict[str, str]


class Change(NamedTuple):
    """One thing in which two runs differ, as a sentence for the user."""

    subject: Subject
    text: str


def identify(graph: Graph, known: Iterable[FileIdentity] = ()) -> RunIdentity:
    """The identity of a run of `graph`, now; reads all weights and recordings once, but for those that are `known`."""
    specs = graph.stages.values()
    weights = {path for spec in specs for path in spec.settings.loads()}
    recordings = {path for spec in specs for path in spec.settings.reads()} - weights
    own = {path for spec in specs if is_own(spec.use) and (path := inspect.getsourcefile(spec.cls))}
    written = {path for spec in specs for path in spec.settings.writes()}
    return RunIdentity(
        mode=graph.mode,
        graph=_table(graph, weights | recordings | written),
        weights=_identities(weights, known),
        recordings=_identities(recordings, known),
        own_code=_identities(own, known),
        code=_code(),
        versions=_versions(),
    )


def identify_file(path: str | Path) -> FileIdentity:
    """A file by its content, which is read once."""
    path = Path(path)
    if path.is_file():
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
                return FileIdentity(str(path), file.tell(), digest)
        except OSError:
            pass  # whoever is to read it says why it cannot
    return FileIdentity(str(path), 0, None)


def changes(before: RunIdentity, now: RunIdentity) -> list[Change]:
    """In what `now` differs from `before`: nothing where the results of both, in replay mode, are the same bytes.

    Files are known by their content, wherever they lie; a recording by its name too, since a stream is called after it.
    """
    weights = _changed_files(before.weights, now.weights)
    recordings = _changed_files(before.recordings, now.recordings)
    own_code = _changed_files(before.own_code, now.own_code)
    found = []
    if before.mode != now.mode:
        found.append(Change("mode", f"{before.mode} then, {now.mode} now"))
    # A file that is another now is said as such, and not once more of the settings that name it.
    earlier = {file.path: then for then, file in [*weights, *recordings] if then is not None and file is not None}
    found += [Change("graph", text) for text in _graph_changes(_comparable(before, {}), _comparable(now, earlier))]
    found += [Change("weights", _sentence(*pair)) for pair in weights]
    found += [Change("recording", _sentence(*pair)) for pair in recordings]
    found += [Change("version", _sentence(*pair)) for pair in own_code]
    found += [Change("version", text) for text in _value_changes(before.versions, now.versions)]
    if before.code != now.code and before.versions.get("emopipe") == now.versions.get("emopipe"):
        found.append(Change("version", f"emopipe {now.versions.get('emopipe')} has other code than the one then"))
    return found


# -- making one ------------------------------------------------------------------------------------------------------


def _table(graph: Graph, files: set[str]) -> dict[str, Any]:
    pipeline: dict[str, Any] = {"name": graph.name, "mode": graph.mode}
    if graph.latency_budget is not None:
        pipeline["latency_budget"] = graph.latency_budget
    return {"pipeline": pipeline, "stages": {name: _stage(spec, files) for name, spec in graph.stages.items()}}


def _stage(spec: StageSpec, files: set[str]) -> dict[str, Any]:
    settings = _with_paths(_set(spec.settings), lambda path: path if path in files else None)
    table: dict[str, Any] = {"use": spec.use, "process": spec.process, **settings}
    if spec.inputs:
        table["inputs"] = {port: [str(feed) for feed in feeds] for port, feeds in spec.inputs.items()}
        table["queue"] = {port: _set(queue) for port, queue in spec.queues.items()}
    return table


def _set(struct: msgspec.Struct) -> dict[str, Any]:
    """The fields as TOML would have them, which has no word for None."""
    fields: dict[str, Any] = msgspec.to_builtins(struct)
    return {name: value for name, value in fields.items() if value is not None}


def _with_paths(value: Any, replace: Callable[[str], str | None]) -> Any:
    """`value` with every text that names a file, absolute or not, as `replace` has it, where that is not None."""
    match value:
        case str():
            try:
                path = str(Path(value).resolve())
            except (OSError, ValueError):  # a null byte
                return value
            return (replace(path) if value else None) or value
        case dict():
            return {key: _with_paths(each, replace) for key, each in value.items()}
        case list() | tuple():
            return [_with_paths(each, replace) for each in value]
    return value


def _identities(paths: Iterable[str], known: Iterable[FileIdentity]) -> list[FileIdentity]:
    found = {file.path: file for file in known}
    return [found.get(path) or identify_file(path) for path in sorted(paths)]


@cache
def _code() -> str:
    package = Path(emopipe.__file__).parent
    digest = hashlib.sha256()
    for room in CODE_ROOMS:
        files = (Path(folder, name) for folder, _, names in os.walk(package / room) for name in names)
        for file in sorted(file for file in files if file.suffix == ".py"):
            digest.update(f"{file.relative_to(package)}\0".encode())
            digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


@cache
def _versions() -> dict[str, str]:
    versions = {"emopipe": emopipe.__version__, "python": platform.python_version()}
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # it runs from its folder, not installed
        required = [each for each in importlib.metadata.requires("emopipe") or () if "extra ==" not in each]
        for name in sorted(match[0] for each in required if (match := re.match(r"[A-Za-z0-9._-]+", each))):
            with contextlib.suppress(importlib.metadata.PackageNotFoundError):  # another build of it is there, or none
                versions[name] = importlib.metadata.version(name)
    return versions


# -- comparing two ---------------------------------------------------------------------------------------------------

Stages = dict[str, dict[str, Any]]
ChangedFile = tuple[FileIdentity | None, FileIdentity | None]  # then, now


def _changed_files(before: list[FileIdentity], now: list[FileIdentity]) -> list[ChangedFile]:
    """Contents that have come or gone; two of the same name are taken for two states of one file."""
    same = {file.sha256 for file in before} & {file.sha256 for file in now} - {None}
    gone = {Path(file.path).name: file for file in before if file.sha256 not in same}
    come: list[ChangedFile] = [(gone.pop(Path(file.path).name, None), file) for file in now if file.sha256 not in same]
    return come + [(file, None) for file in gone.values()]


def _sentence(then: FileIdentity | None, now: FileIdentity | None) -> str:
    if now is None:
        return f"{then.path if then else ''}: read then, and not now"
    is_ = "cannot be read now" if now.sha256 is None else f"sha256 {now.sha256[:SHOWN_DIGITS]}… now"
    if then is None:
        return f"{now.path}: {is_}, and not read then"
    was = "could not be read then" if then.sha256 is None else f"{then.sha256[:SHOWN_DIGITS]}… then"
    return f"{now.path}: {is_}, {was}"


def _comparable(run: RunIdentity, earlier: Mapping[str, FileIdentity]) -> Stages:
    """The stages' tables, with files by their (earlier) content, and without what changes no result."""
    contents = {file.path: f"sha256:{earlier.get(file.path, file).sha256}" for file in run.weights}
    for file in run.recordings:
        contents[file.path] = f"{Path(file.path).name} sha256:{earlier.get(file.path, file).sha256}"
    left_out = LAYOUT_KEYS if run.mode == "replay" else ()
    return {
        name: {key: _with_paths(value, contents.get) for key, value in table.items() if key not in left_out}
        for name, table in run.graph["stages"].items()
    }


def _graph_changes(before: Stages, now: Stages) -> Iterator[str]:
    for name in before | now:
        if name not in now:
            yield f"there is no stage {show(name)} any more"
        elif name not in before:
            yield f"stage {show(name)} is new"
        else:
            yield from _value_changes(before[name], now[name], ("stages", name))


def _value_changes(before: Mapping[str, Any], now: Mapping[str, Any], where: tuple[str, ...] = ()) -> Iterator[str]:
    for key in {**before, **now}:
        first, second = before.get(key), now.get(key)
        if isinstance(first, Mapping) and isinstance(second, Mapping):
            yield from _value_changes(first, second, (*where, key))
        elif first != second:
            was, is_ = ("not set" if value is None else _value(value) for value in (first, second))
            yield f"{key_path(*where, key)}: {was} then, {is_} now"


def _value(value: Any) -> str:
    return f"[{', '.join(map(_value, value))}]" if isinstance(value, list) else show(value)
