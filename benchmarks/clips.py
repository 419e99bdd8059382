"""The recording that a benchmark plays, and the arguments that all of them share."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import av

from emopipe.pipeline.errors import MediaError
from emopipe.pipeline.text import show

MIN_S = 1.0  # of a recording; one that is played over and over should not consist of beginnings


class Clip(NamedTuple):
    """A recording with pictures; `seconds` is how long it is."""

    path: Path
    width: int
    height: int
    rate: float
    seconds: float

    def __str__(self) -> str:
        return f"{self.path.name}: {self.width}×{self.height} at {self.rate:.2f} frames/s, {self.seconds:.2f} s"

    def times(self, seconds: float) -> int:
        """How often it has to be played to last about so long."""
        return max(1, round(seconds / self.seconds))


def read_clip(path: Path) -> Clip:
    """Look into a recording.

    Raises:
        MediaError: it is not there, cannot be read, or has no pictures.
    """
    if not path.is_file():
        raise MediaError(f"{path}: no such file; expected a recording of somebody who speaks, such as clip.mp4")
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise MediaError(f"{path}: there are no pictures in it; choose a recording of somebody who speaks")
            video = container.streams.video[0]
            seconds = (container.duration or 0) / av.time_base
            if seconds < MIN_S:
                raise MediaError(f"{path}: it lasts {seconds:.2f} s by its header; expected {MIN_S:g} s or more")
            return Clip(path, video.width, video.height, float(video.average_rate or 0), seconds)
    except av.FFmpegError as error:
        raise MediaError(f"{path}: cannot be read as a recording ({error.strerror})") from None


def at_least(least: float, kind: type = int) -> Callable[[str], float]:
    """A type of argument: a number that is no smaller."""

    def parse(text: str) -> float:
        try:
            value: float = kind(text)
        except ValueError:
            value = float("nan")
        if not least <= value < float("inf"):
            raise argparse.ArgumentTypeError(f"expected a number of at least {least:g}, got {show(text)}")
        return value

    return parse


def above_zero(text: str) -> float:
    """A type of argument: a number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {show(text)}")
    return value


def add_clip_argument(parser: argparse.ArgumentParser, seconds: float, what: str) -> None:
    parser.add_argument("clip", type=Path, metavar="CLIP", help="a recording of somebody who speaks")
    parser.add_argument("--seconds", type=above_zero, default=seconds, help=f"{what} (default: %(default)g)")


def add_rounds_argument(parser: argparse.ArgumentParser, rounds: int = 3) -> None:
    parser.add_argument(
        "--rounds", type=at_least(1), default=rounds, metavar="N", help="all in turn, so often (default: %(default)s)"
    )


def add_layout_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--layout",
        choices=("stages", "auto"),
        help="a process a stage, or as suits the cores (default: as the default graph says)",
    )
