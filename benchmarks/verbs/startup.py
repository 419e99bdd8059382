"""How long one waits: for the first result of a replay, and until a live graph takes pictures.

Each is a command of its own, as a user starts it, from its start on; with files in the cache of the system, since all
have been read by a first round that does not count. The live graph is the default one, whose source takes its pictures
from memory: a camera's own time is not in it.
"""

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.clips import add_layout_argument, add_rounds_argument, read_clip
from benchmarks.commands import Command
from benchmarks.outcome import Outcome, add_output_arguments, bars, spread, spread_table
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.text import count

HELP = "how long until the first result of a replay, and until a live graph is ready"
LOOK_S = 0.002
WARM_UP_ROUNDS = 1
SHOWN = {"first_result_s": ("first result of a replay", "s"), "live_ready_s": ("live graph ready", "s")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("clip", type=Path, metavar="CLIP", help="a recording of somebody who speaks")
    add_rounds_argument(parser)
    add_layout_argument(parser)
    add_output_arguments(parser)


def measure(arguments: argparse.Namespace) -> Outcome:
    clip = read_clip(arguments.clip)
    given = ["--set", f"pipeline.layout={arguments.layout}"] if arguments.layout else []
    rounds = []
    with TemporaryDirectory(prefix="emopipe-") as name:
        for number in range(WARM_UP_ROUNDS + arguments.rounds):
            folder = Path(name) / str(number)
            folder.mkdir()
            taken = {
                "first_result_s": first_result(clip.path.resolve(), folder, given),
                "live_ready_s": live_ready(clip.path.resolve(), folder, given),
            }
            if number >= WARM_UP_ROUNDS:
                rounds.append(taken)
    found = spread(rounds)
    return Outcome(
        f"Start with {clip}; {count(arguments.rounds, 'round')} in turn",
        {**{name: median for name, (median, _, _) in found.items()}, "rounds": rounds, "spread": found},
        [("Seconds from the command's start, files in the cache", spread_table(found))],
        bars(found, SHOWN),
    )


def first_result(clip: Path, folder: Path, given: list[str]) -> float:
    """Seconds until the first result of a replay stands in its file.

    Raises:
        EmopipeError: there is none.
    """
    out = folder / "results.jsonl"
    began = time.monotonic()
    failure = f"{clip}: no result came of it"
    with Command("replay", clip, "--out", out, *given, folder=folder, failure=failure) as command:
        while not (out.exists() and out.stat().st_size):
            if command.ended():
                raise EmopipeError(failure)
            time.sleep(LOOK_S)
        return time.monotonic() - began


def live_ready(clip: Path, folder: Path, given: list[str]) -> float:
    """Seconds until a live graph plays.

    Raises:
        EmopipeError: it does not.
    """
    figures = folder / "figures.json"
    source = {"use": "benchmarks.live.camera:PlayedCamera", "uri": f'"{clip}"', "stream": "camera", "seconds": 0.5}
    live = ["--set", "pipeline.mode=live", "--json", figures]
    for key, value in source.items():
        live += ["--set", f"stages.capture.{key}={value}"]
    began = time.monotonic_ns()
    failure = f"{clip}: it cannot be played live"
    with Command("run", *live, *given, folder=folder, failure=failure) as command:
        command.wait()
    if not figures.exists():
        raise EmopipeError(failure)
    counters = json.loads(figures.read_text())["stages"]["capture"]["counters"]
    return float(counters["base_time_ns"] - began) / SECOND
