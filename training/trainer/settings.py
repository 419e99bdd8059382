"""Training settings: a TOML table in, a typed struct out; and the record of what a run was started with."""

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec

from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.settings import convert

T = TypeVar("T", bound=msgspec.Struct)

Count = Annotated[int, msgspec.Meta(ge=1)]
Fraction = Annotated[float, msgspec.Meta(ge=0, le=1)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0)]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


def parse_settings(config: dict[str, Any], kind: type[T]) -> T:
    """The settings in `config`, whose ranges are those of the struct's `msgspec.Meta`.

    Raises:
        EmopipeError: all that is wrong: unknown keys (with the nearest valid one), types, ranges.
    """
    converted, problems = convert(config, kind)
    if converted is None:
        raise EmopipeError("; ".join(": ".join(filter(None, problem)) for problem in problems))
    return converted


def record_run(path: Path, config: msgspec.Struct, data_sha256: str, resume: bool) -> None:
    """Write a run's settings and data to `path`; of a run to resume, check that both are those it was started with.

    Raises:
        EmopipeError: there is no run to resume, or it was started with others.
    """
    record = {"settings": plain_settings(config), "data_sha256": data_sha256}
    if not resume:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.format(msgspec.json.encode(record)))
    elif not path.is_file():
        raise EmopipeError(f"{path}: no run to resume; start one without --resume")
    elif msgspec.json.decode(path.read_bytes()) != record:
        raise EmopipeError(f"{path}: the run was started with other settings or data; use them, or start a new one")


def plain_settings(config: msgspec.Struct) -> dict[str, Any]:
    """Settings as JSON has them, to compare with what was read."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(config))
    return plain


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
