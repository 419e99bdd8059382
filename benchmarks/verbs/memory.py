"""The memory of a replay, all processes together.

PSS counts what processes share once: to each its part of it. The most that was seen at one moment counts, looked at ten
times a second. Linux only: it reads /proc.
"""

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.clips import add_clip_argument, add_layout_argument, add_rounds_argument, read_clip
from benchmarks.commands import Command
from benchmarks.outcome import Outcome, add_output_arguments, bars, spread, spread_table
from benchmarks.procfs import PROC, Memory, memory, tree
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.text import count

HELP = "memory of a replay, all processes together"
LOOK_S = 0.1
SHOWN = {"pss_mb": ("PSS, all processes", "MB"), "rss_mb": ("RSS, all processes", "MB")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_clip_argument(parser, 10.0, "s of recording, looped")
    add_rounds_argument(parser, 2)
    add_layout_argument(parser)
    add_output_arguments(parser)


def measure(arguments: argparse.Namespace) -> Outcome:
    if not (PROC / "self" / "smaps_rollup").exists():
        raise EmopipeError("bench memory reads /proc/PID/smaps_rollup, which this system does not have")
    clip = read_clip(arguments.clip)
    given = ["--set", f"stages.capture.loop={clip.times(arguments.seconds)}"]
    given += ["--set", f"pipeline.layout={arguments.layout}"] if arguments.layout else []
    rounds = []
    for _ in range(arguments.rounds):
        most = most_of(clip.path.resolve(), given)
        rounds.append({f"{kind}_mb": sum(getattr(each, kind) for each in most.values()) for kind in ("pss", "rss")})
    found = spread(rounds)
    processes = {name: each._asdict() for name, each in most.items()}
    return Outcome(
        f"Memory of a replay of {clip}, {clip.times(arguments.seconds)} times; {count(arguments.rounds, 'round')}",
        {
            **{name: median for name, (median, _, _) in found.items()},
            "processes": processes,
            "rounds": rounds,
            "spread": found,
        },
        [
            ("MB, all processes together", spread_table(found)),
            (
                "MB by process, in the last round",
                [{"process": name, **each} for name, each in sorted(processes.items())],
            ),
        ],
        bars(found, SHOWN),
    )


def most_of(clip: Path, given: list[str]) -> dict[str, Memory]:
    """What each process of a replay had when all of them together had most.

    Raises:
        EmopipeError: the replay failed.
    """
    most: dict[str, Memory] = {}
    with TemporaryDirectory(prefix="emopipe-") as name:
        failure = f"{clip}: it cannot be replayed"
        replay = ("replay", clip, "--out", "results.jsonl", *given)
        with Command(*replay, folder=Path(name), failure=failure) as command:
            while not command.ended():
                now = {each: found for each, pid in tree(command.pid).items() if (found := memory(pid)) is not None}
                if sum(each.pss for each in now.values()) > sum(each.pss for each in most.values()):
                    most = now
                time.sleep(LOOK_S)
    if not most:
        raise EmopipeError(failure)
    return most
