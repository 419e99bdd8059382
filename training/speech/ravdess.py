"""RAVDESS speech: the codes in its file names, and folds that never share an actor.

Livingstone & Russo (2018), The Ryerson Audio-Visual Database of Emotional Speech and Song, PLOS ONE 13(5).
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

from emopipe.pipeline.errors import DataError

FOLDS = ((2, 5, 14, 15, 16), (3, 6, 7, 13, 18), (10, 11, 12, 19, 20), (8, 17, 21, 23, 24), (1, 4, 9, 22))
"""The actors of each test fold, as in Luna-Jiménez et al. (2021), Sensors 21(22):7665: balanced, never shared."""

_CODES = re.compile(r"(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)")
_RANGES = {"modality": 3, "channel": 2, "emotion": 8, "intensity": 2, "statement": 2, "repetition": 2, "actor": 24}


class Codes(NamedTuple):
    """What a file name of RAVDESS says (`emotion` 1 to 8)."""

    modality: int
    channel: int
    emotion: int
    intensity: int
    statement: int
    repetition: int
    actor: int


def parse_codes(stem: str) -> Codes:
    """Read a file name without its ending.

    Raises:
        DataError: it is not a RAVDESS name, or a code in it does not exist.
    """
    match = _CODES.fullmatch(stem)
    if match is None:
        raise DataError("not a RAVDESS file name (expected seven two-digit codes such as 03-01-05-02-01-01-12)")
    codes = [int(code) for code in match.groups()]
    for (field, highest), code in zip(_RANGES.items(), codes, strict=True):
        if not 1 <= code <= highest:
            raise DataError(f"{field} {code:02d} does not exist (expected 01 to {highest:02d})")
    return Codes(*codes)


def speaker(actor: int) -> str:
    """An actor as clips' names have it."""
    return f"ravdess/{actor:02d}"


def folds(speakers: Sequence[str]) -> list[tuple[str, ...]]:
    """The test actors of each usual fold that has any among `speakers`.

    Raises:
        DataError: fewer than two folds are left, so that nobody unseen could be tested on.
    """
    present = [tuple(speaker(actor) for actor in fold if speaker(actor) in speakers) for fold in FOLDS]
    present = [fold for fold in present if fold]
    if len(present) < 2:
        raise DataError(
            f"only {', '.join(speakers)}: at least two of RAVDESS's five folds of actors are needed "
            "to test on people who were not trained on; get the whole of RAVDESS speech"
        )
    return present
