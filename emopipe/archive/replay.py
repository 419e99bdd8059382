"""One recording of an archive: replayed to its file of results, and what became of it."""

import asyncio
import copy
import errno
import importlib.metadata
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from emopipe.archive.ledger import Entry, Word
from emopipe.archive.player import play
from emopipe.archive.recordings import result_name
from emopipe.graphs.manifest import secrets_of, without_secrets
from emopipe.graphs.messages import upstream
from emopipe.graphs.replay import replay_table
from emopipe.pipeline.errors import EmopipeError, GraphError, MediaError
from emopipe.pipeline.files import RUN_IDENTITY, replacing
from emopipe.pipeline.graph.identity import FileIdentity, RunIdentity, changes, identify
from emopipe.pipeline.graph.load import Graph, graph_from_table, overridden
from emopipe.pipeline.text import count, one_line

RESULTS = "out0"  # the stage that writes them
WRITER = "pyarrow"  # by which it does, and which is no requirement of emopipe itself
FULL = (errno.ENOSPC, errno.EDQUOT)
MAX_TEXTS = 10  # that an entry holds


class Order(msgspec.Struct, kw_only=True):
    """What all jobs of an archive are told.

    Attributes:
        table: the graph, as its file has it.
        origin: that file.
        overrides: of its keys.
        root: the folder from which on recordings are named.
        out: the folder for the results.
        place: whose folder that is, and who follows the order, where that is not this host.
        run: what all results depend on; whoever follows the order has to find the same.
        known: files that need not be hashed again.
    """

    table: dict[str, Any]
    origin: str
    overrides: list[str]
    root: str
    out: str
    place: str = ""
    run: RunIdentity | None = None
    known: list[FileIdentity] = []


class Stopped(EmopipeError):
    """The archive cannot go on, whatever recording comes next: that is none's own failure."""


def disk_full(order: Order) -> Stopped:
    """That no results can be written any more."""
    where = f"{order.place}: {order.out}" if order.place else f"--out {order.out}"
    return Stopped(f"{where}: no space is left on its disk; free some")


def graph_of(order: Order, recording: str) -> Graph:
    """The graph that plays one recording to its file of results, and does nothing else.

    Raises:
        MediaError: the recording cannot be read.
        Stopped: the graph can run where the order was given, and cannot here.
        EmopipeError: the graph cannot run.
    """
    path, result = Path(order.root) / recording, Path(order.out) / result_name(recording)
    result.parent.mkdir(parents=True, exist_ok=True)
    table = replay_table(copy.deepcopy(order.table), [str(path)], [result], realtime=False)
    table = overridden(table, order.origin, order.overrides)
    stages = table.get("stages")
    if isinstance(stages, dict):
        stages = table["stages"] = upstream(stages, [RESULTS])  # what else it writes or serves is for one run
    try:
        return graph_from_table(table, order.origin).in_one_process()
    except GraphError as error:
        if unreadable := [each for each in error.problems if each.key.startswith("uri")]:
            raise MediaError(unreadable[0].sentence()) from None
        if order.place and (missing := [each for each in error.problems if each.stage != RESULTS]):
            raise Stopped(f"{order.place}: {missing[0]}; it has to be there as it is here") from None
        raise


def identity_of(graph: Graph, order: Order) -> RunIdentity:
    """What one recording's results depend on, wherever they go to and wherever the files lie here.

    Raises:
        Stopped: it is not what the order says.
    """
    run = identify(graph, order.known)
    run.graph["stages"][RESULTS] |= {"path": os.path.relpath(graph.stages[RESULTS].table["path"], order.out)}
    run = msgspec.structs.replace(run, versions=run.versions | {WRITER: importlib.metadata.version(WRITER)})
    run = msgspec.convert(without_secrets(msgspec.to_builtins(run), secrets_of(graph)), RunIdentity)
    if order.run is None:
        return run
    if differing := changes(order.run, _base(run, graph)):
        where = f"{order.place}: results" if order.place else f"--out {order.out}: its results"
        remedy = "have all be as it was when the archive was begun"
        raise Stopped(f"{where} would be made otherwise now: {differing[0].subject}: {differing[0].text}; {remedy}")
    order.known = run.weights + run.own_code
    stages = copy.deepcopy(order.run.graph["stages"])
    for name, key in _own_keys(graph):
        stages[name][key] = run.graph["stages"][name][key]
    return msgspec.structs.replace(order.run, graph=order.run.graph | {"stages": stages}, recordings=run.recordings)


def base_identity(order: Order, recordings: Sequence[str]) -> tuple[RunIdentity, Graph]:
    """What the results of all recordings depend on, but for the recordings; and the graph of the first one.

    Raises:
        EmopipeError: the graph cannot run, or none of the recordings can be played.
    """
    unreadable: list[MediaError] = []
    with TemporaryDirectory() as folder:
        elsewhere = msgspec.structs.replace(order, out=folder)
        for recording in recordings:
            try:
                graph = graph_of(elsewhere, recording)
            except MediaError as error:
                unreadable.append(error)
                continue
            return _base(identity_of(graph, elsewhere), graph), graph
    raise EmopipeError(f"none of the {count(len(recordings), 'recording')} can be played; the first: {unreadable[0]}")


def replay(order: Order, recording: str, folder: Path, beat: Callable[[], None] = lambda: None) -> Entry:
    """Replay a recording to its file of results, in this process.

    Args:
        order: of the archive.
        recording: its name.
        folder: for what is under way; it is emptied.
        beat: called every second or so, as long as it gets on.

    Returns:
        What became of it. After a word `error` this process is not to be trusted with another recording.

    Raises:
        Stopped: no results can be written, or they would not fit the others.
    """
    path = Path(order.root) / recording
    try:
        before = path.stat()
        entry = _replay(order, recording, folder, beat)
        after = path.stat()
    except Stopped:
        raise
    except Exception as error:
        if _full(error):
            raise disk_full(order) from None
        if isinstance(error, OSError) and error.filename == str(path):
            reason = "no such file" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
            error = MediaError(f"{path}: {reason}{f' on {order.place}' if order.place else ''}")
        return failed(recording, *_why(error, path))
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        Path(order.out, result_name(recording)).unlink(missing_ok=True)
        return failed(recording, "changed", "it was written to while it was read")
    return msgspec.structs.replace(entry, size=after.st_size, modified_ns=after.st_mtime_ns)


def failed(recording: str, word: Word, text: str) -> Entry:
    """The entry of a recording that has no results."""
    return Entry(recording=recording, outcome="failed", word=word, text=text)


def _base(run: RunIdentity, graph: Graph) -> RunIdentity:
    """What of one recording's identity holds for all."""
    stages = copy.deepcopy(run.graph["stages"])
    for name, key in _own_keys(graph):
        stages[name][key] = None
    return msgspec.structs.replace(run, graph=run.graph | {"stages": stages}, recordings=[])


def _own_keys(graph: Graph) -> Iterator[tuple[str, str]]:
    """The settings that name the recording and its results: stages, and keys."""
    yield RESULTS, "path"
    yield from ((name, "uri") for name, spec in graph.stages.items() if not spec.inputs)


def _replay(order: Order, recording: str, folder: Path, beat: Callable[[], None]) -> Entry:
    import pyarrow.parquet as pq

    graph = graph_of(order, recording)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run = identity_of(graph, order)
    with replacing(folder / RUN_IDENTITY) as file:
        file.write_bytes(msgspec.json.encode(run))
    played = asyncio.run(play(graph, folder, beat))
    result = Path(graph.stages[RESULTS].table["path"])
    texts = [each.text for each in played.warnings if each.damage]
    return Entry(
        recording=recording,
        outcome="damaged" if played.damaged else "done",
        text="\n".join(_without(text, Path(order.root) / recording) for text in texts[:MAX_TEXTS]),
        result=result_name(recording),
        rows=pq.read_metadata(result).num_rows,
        result_size=result.stat().st_size,
        sha256=next((each.sha256 for each in run.recordings), None),
    )


def _why(error: Exception, path: Path) -> tuple[Word, str]:
    if isinstance(error, MediaError):
        return "unreadable", _without(str(error), path)
    return "error", str(error) if isinstance(error, EmopipeError) else f"{type(error).__name__}: {error}"


def _without(text: str, path: Path) -> str:
    """What is said of a recording, without its path before it: the entry has its name."""
    return one_line(text.removeprefix(f"{path}: "))


def _full(error: BaseException | None) -> bool:
    """Whether an error stems from a full disk."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in FULL:
            return True
        error = error.__context__
    return False
