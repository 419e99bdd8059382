"""Typed training settings: a TOML table in, a struct out, and one clear message for whatever is wrong."""

import difflib
import re
import shlex
import sys
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from emopipe.pipeline.errors import EmopipeError

T = TypeVar("T", bound=msgspec.Struct)


def settings(config: dict[str, Any], kind: type[T]) -> T:
    """Convert `config` to `kind`; ranges come from the struct's `msgspec.Meta`.

    Raises:
        EmopipeError: unknown key (with the nearest valid one), wrong type, or out of range.
    """
    known = [field.name for field in msgspec.structs.fields(kind)]
    for key in config:
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean `{nearest[0]}`?" if nearest else f"the settings are {', '.join(known)}"
            raise EmopipeError(f"{key}: no such setting; {hint}")
    try:
        return msgspec.convert(config, kind)
    except msgspec.ValidationError as error:
        problem = re.fullmatch(r"(.*) - at `\$\.(.*)`", str(error))
        if problem is None:
            raise EmopipeError(str(error)) from None
        raise EmopipeError(f"{problem[2]}: {config.get(problem[2])!r} is wrong: {problem[1]}") from None


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
