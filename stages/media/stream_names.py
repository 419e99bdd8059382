"""What the streams of recordings are called."""

from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path


def stream_names(files: Sequence[str]) -> list[str]:
    """One for each file: its name without folder and suffix, with a number where another has the same."""
    names: list[str] = []
    for file in files:
        stem = Path(file).stem
        candidates = chain([stem], (f"{stem}-{number}" for number in count(2)))
        names.append(next(name for name in candidates if name not in names))
    return names
