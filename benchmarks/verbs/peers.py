"""Frames a second beside `fer`, another program for the same, on the same recording.

`fer` needs old libraries, so it has an environment of its own, which you make; `--python` names its Python:

    python3 -m venv fer-environment
    fer-environment/bin/pip install fer==22.5.1 tensorflow 'setuptools<80' 'moviepy<2'
    emopipe bench peers clip.mp4 --python fer-environment/bin/python

Both in turn, each after loading; `fer` hears no voice, ours does. `fer` is stopped after `--seconds`.
"""

import argparse
import json
import os
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.clips import add_clip_argument, add_layout_argument, add_rounds_argument, read_clip
from benchmarks.commands import ROOT
from benchmarks.outcome import Outcome, add_output_arguments, bars, spread, spread_table
from benchmarks.playing import replay_clip
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.text import count

HELP = "frames a second beside `fer`, which you install in an environment of its own"
SHOWN = {
    "ours_over_fer": ("emopipe ÷ fer", ""),
    "ours_per_s": ("emopipe", "frames/s"),
    "fer_per_s": ("fer", "frames/s"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_clip_argument(parser, 15.0, "s of recording for ours, looped, and of work for fer at most")
    parser.add_argument("--python", metavar="FILE", help="the Python of an environment in which fer is installed")
    add_rounds_argument(parser)
    add_layout_argument(parser)
    add_output_arguments(parser)


def measure(arguments: argparse.Namespace) -> Outcome:
    if arguments.python is None:
        raise EmopipeError(
            "bench peers needs --python, the Python of an environment in which fer is installed; "
            "`emopipe bench peers --help` says how to make one"
        )
    clip = read_clip(arguments.clip)
    rounds: list[dict[str, float]] = []
    with TemporaryDirectory(prefix="emopipe-") as folder:
        for _ in range(arguments.rounds):
            theirs = fer(arguments.python, clip.path.resolve(), arguments.seconds)
            out = Path(folder) / "results.jsonl"
            result = replay_clip(clip.path, clip.times(arguments.seconds), out, layout=arguments.layout)
            ours = result.reports["capture"].counters["frames"] / result.seconds
            taken = theirs["frames"] / theirs["seconds"]
            rounds.append({"ours_over_fer": ours / taken, "ours_per_s": ours, "fer_per_s": taken})
    found = spread(rounds)
    return Outcome(
        f"emopipe beside fer {theirs['version']} on {clip}; {count(arguments.rounds, 'round')} in turn",
        {
            **{name: median for name, (median, _, _) in found.items()},
            "fer": theirs,
            "rounds": rounds,
            "spread": found,
        },
        [("Frames a second after loading", spread_table(found))],
        bars(found, SHOWN),
    )


def fer(python: str, clip: Path, seconds: float) -> dict[str, Any]:
    """What `fer` does in so many seconds.

    Raises:
        EmopipeError: it cannot be run there.
    """
    command = [python, str(ROOT / "benchmarks" / "fer_loop.py"), str(clip), str(seconds)]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    try:
        done = subprocess.run(command, env=alone, capture_output=True, text=True, check=False)
    except OSError as error:
        raise EmopipeError(f"--python {python}: cannot be run ({error.strerror})") from None
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2]
        raise EmopipeError(f"--python {python}: fer does not run there: {last}")
    return dict(json.loads(done.stdout.strip().rpartition("\n")[2]))
