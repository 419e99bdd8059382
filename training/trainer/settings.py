"""Typed training settings: a TOML table in, a struct out."""

import shlex
import sys
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.settings import convert

T = TypeVar("T", bound=msgspec.Struct)


def settings(config: dict[str, Any], kind: type[T]) -> T:
    """The settings in `config`, whose ranges are those of the struct's `msgspec.Meta`.

    Raises:
        EmopipeError: all that is wrong: unknown keys (with the nearest valid one), types, ranges.
    """
    converted, problems = convert(config, kind)
    if converted is None:
        raise EmopipeError("; ".join(": ".join(filter(None, problem)) for problem in problems))
    return converted


def typed_command() -> str:
    """The command that is being run, for a checkpoint's card; without `--resume`, which remakes nothing.

    Where files lie outside the working directory is nobody's business: names and digests identify them.
    """
    return shlex.join(["emopipe", *(without_folders(word) for word in sys.argv[1:] if word != "--resume")])


def without_folders(word: str) -> str:
    """`word`, or where it is a path out of the working directory (`--data=/home/me/x.zip`) its name alone."""
    option, equals, path = word.rpartition("=")
    outside = Path(path).is_absolute() or Path(path).parts[:1] == ("..",)
    return f"{option}{equals}{Path(path).name}" if outside else word
