"""What is common to reading faces and voices: the files that can be learnt from, and those that cannot."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from emopipe.fine_tuning.classifier import Settings
from emopipe.fine_tuning.data import read
from emopipe.fine_tuning.folds import need_enough
from emopipe.fine_tuning.labelled import Labelled, Labels
from emopipe.models.checkpoint import WEIGHTS_DIR
from emopipe.pipeline.errors import DataError, EmopipeError, MediaError
from emopipe.training.trainer.settings import parse_settings

T = TypeVar("T")

log = logging.getLogger(__name__)


def prepare(
    config: dict[str, Any], data: Path, people: Path | None, out: Path, endings: Sequence[str]
) -> tuple[Settings, Labels]:
    """The settings in a config, and the files to learn from.

    Raises:
        EmopipeError: a setting is wrong, or `out` is among emopipe's own weights.
        DataError: see `data.read` and `folds.need_enough`.
    """
    settings = parse_settings(config, Settings)
    if out.resolve().parent == WEIGHTS_DIR.resolve():
        raise EmopipeError(f"--out {out}: emopipe's own weights; give the new ones another name")
    found = read(data, endings, people)
    need_enough(data, found.files, found.labels)
    return settings, found


def usable(
    root: Path, files: Sequence[Labelled], left_out: Counter[str], nothing: str, take: Callable[[Path], T | None]
) -> list[tuple[Labelled, T]]:
    """The files of which `take` takes something, and that; the others are named in the log, and counted in `left_out`.

    Args:
        nothing: what is said of a file of which it takes none.

    Raises:
        DataError: no file is left.
    """
    taken = []
    for each in files:
        try:
            found = take(each.path)
        except (MediaError, DataError) as error:
            log.warning("%s", error)
            left_out["unreadable"] += 1
            continue
        if found is None:
            log.warning("%s: %s", each.path, nothing)
            left_out[nothing] += 1
        else:
            taken.append((each, found))
    if not taken:
        raise DataError(f"{root}: no file of {len(files)} is left: {nothing}, or unreadable")
    return taken
