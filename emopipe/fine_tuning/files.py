"""What is common to reading faces and voices: the files that can be learnt from, and those that cannot."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from emopipe.fine_tuning.classifier import Settings
from emopipe.fine_tuning.data import FILE_ENDINGS, read
from emopipe.fine_tuning.folds import need_enough
from emopipe.fine_tuning.labelled import Labelled, Labels
from emopipe.models.checkpoint import WEIGHTS_DIR, read_card
from emopipe.pipeline.errors import DataError, EmopipeError, MediaError, ModelError
from emopipe.training.trainer.settings import parse_settings

T = TypeVar("T")

log = logging.getLogger(__name__)


def prepare(task: str, config: dict[str, Any], data: Path, people: Path | None, out: Path) -> tuple[Settings, Labels]:
    """The settings in a config, and the files that the model of `task` is to learn from.

    Raises:
        EmopipeError: a setting is wrong, or `out` is among emopipe's own weights, or holds a model of another task.
        DataError: see `data.read` and `folds.need_enough`.
    """
    settings = parse_settings(config, Settings)
    if out.resolve().parent == WEIGHTS_DIR.resolve():
        raise EmopipeError(f"--out {out}: emopipe's own weights; give the new ones another name")
    if (there := _task_of(out)) not in ("", task):
        raise EmopipeError(f"--out {out}: there are {there} weights in it; give these another name")
    found = read(data, FILE_ENDINGS[task], people)
    need_enough(data, found.files, found.labels)
    return settings, found


def _task_of(path: Path) -> str:
    """What the weights in a file are for; empty where there are none, or none that could be lost."""
    try:
        return read_card(path).task
    except ModelError:
        return ""


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
