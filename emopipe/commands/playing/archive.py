"""Replay thousands of recordings, each to a Parquet file of its own, by several processes with warm models.

On a Ray cluster the processes are on its nodes, which find the recordings by their absolute paths. The rows are those
of `emopipe replay FILE --out FILE.parquet`. Whatever ends it, the same command goes on from there: recordings that are
over are not played again, but for those that have failed, and those that have changed.
"""

import argparse
import asyncio
import sys
import time
from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from emopipe.archive.ledger import Entry, Ledger
from emopipe.archive.players import LocalPlayers, Players
from emopipe.archive.pool import Pool
from emopipe.archive.recordings import Recordings, find_recordings
from emopipe.archive.replay import Order, base_identity
from emopipe.arguments.cluster import add_on_argument, need_ray
from emopipe.arguments.graph import add_set_argument
from emopipe.graphs.ready import find_graph
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.load import read_table
from emopipe.pipeline.text import count, printable, readable

HELP = "replay thousands of recordings, each to a Parquet file of its own"
INCOMPLETE = 1  # the exit code where a recording has failed, or is damaged


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "source",
        type=Path,
        metavar="DIR|LIST",
        help="a folder of recordings, with all folders in it; or a text file with the path of one in each line",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="the archive, made or gone on with")
    parser.add_argument("--graph", type=Path, help="the graph to replay them through (default: pipeline.toml)")
    parser.add_argument("--jobs", type=int, metavar="N", help="how many processes (default: one for each core)")
    add_on_argument(parser)
    add_set_argument(parser, "stages.facial.device=cpu")
    parser.add_argument("--verbose", action="store_true", help="show what the processes log")


def main(arguments: argparse.Namespace) -> int:
    if arguments.jobs is not None and arguments.jobs < 1:
        raise EmopipeError(f"--jobs {arguments.jobs}: expected one process at least")
    if arguments.on is not None:
        need_ray()
    path = find_graph(arguments.graph)
    recordings = find_recordings(arguments.source, arguments.out)
    for sentence in recordings.left_out:
        print(f"emopipe: {readable(sentence)}", file=sys.stderr)
    order = Order(
        table=read_table(path),
        origin=str(path),
        overrides=arguments.overrides,
        root=str(recordings.root),
        out=str(arguments.out.absolute()),
    )
    run, graph = base_identity(order, recordings.names)
    with Ledger(arguments.out, run, recordings.root) as ledger:
        order.run = ledger.run
        if arguments.on is None:
            players: Players = LocalPlayers(order, ledger.state, verbose=arguments.verbose)
        else:
            from emopipe.archive.ray_players import RayPlayers

            players = RayPlayers(order, graph, arguments.on, verbose=arguments.verbose)
        _replay(ledger, recordings, players, arguments.jobs)
    return _conclude(ledger, recordings)


def _replay(ledger: Ledger, recordings: Recordings, players: Players, jobs: int | None) -> None:
    """Replay what is left, the largest first: the last to end are short ones, then, and no core waits for long."""
    left = ledger.left(recordings)
    changed = sum(name in ledger.entries and ledger.entries[name].result is not None for name in left)
    if len(left) < len(recordings.names):
        print(f"emopipe: {count(len(recordings.names) - len(left), 'recording')} done before", file=sys.stderr)
    if changed:
        again = "replayed again: they, or their results, are not what they were"
        print(f"emopipe: {count(changed, 'recording')} {again}", file=sys.stderr)
    left.sort(key=lambda name: (-_size(recordings.path(name)), name))
    screen = Console(stderr=True, highlight=False)
    progress = Progress(
        TextColumn("archive"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        disable=not screen.is_terminal,
    )
    task = progress.add_task("", total=len(recordings.names), completed=len(recordings.names) - len(left), speed="")
    began = time.monotonic()

    def over(entry: Entry) -> None:
        ledger.add(entry)
        if entry.outcome != "done":
            what = f"{entry.outcome}{f' ({entry.word})' if entry.word else ''}"
            text = readable("; ".join(entry.text.splitlines()))
            screen.print(f"emopipe: {printable(entry.recording)}: {what}: {text}", markup=False, soft_wrap=True)
        progress.advance(task)
        a_minute = (progress.tasks[0].completed - len(recordings.names) + len(left)) / (time.monotonic() - began) * 60
        progress.update(task, speed=f"{a_minute:.1f} a minute")

    async def play() -> None:
        async with players:
            await Pool(players, jobs or players.cores, over).run(left)

    if not left:
        return
    try:
        with progress:
            asyncio.run(play())
    except (KeyboardInterrupt, EmopipeError):
        print("emopipe: the same command goes on from here", file=sys.stderr)
        raise


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:  # whoever is to play it says why it cannot
        return 0


def _conclude(ledger: Ledger, recordings: Recordings) -> int:
    """Say what became of all recordings; the exit code."""
    entries = [ledger.entries[name] for name in recordings.names]
    outcomes = Counter(entry.outcome for entry in entries)
    words = Counter(entry.word for entry in entries if entry.word is not None)
    said = [f"{outcomes['done']} done"]
    if outcomes["damaged"]:
        said.append(f"{outcomes['damaged']} damaged")
    if outcomes["failed"]:
        said.append(f"{outcomes['failed']} failed ({', '.join(f'{word}: {words[word]}' for word in sorted(words))})")
    rows = sum(entry.rows for entry in entries)
    print(f"{count(len(entries), 'recording')}: {', '.join(said)}; {count(rows, 'row')} in {ledger.folder}")
    return INCOMPLETE if outcomes["damaged"] or outcomes["failed"] else 0
