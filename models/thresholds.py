"""When a face or a voice by itself is uncertain: no result says it, since fusion judges what both say together."""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from emopipe.models.calibration import threshold
from emopipe.models.checkpoint import WEIGHTS, card_of
from emopipe.pipeline.errors import ModelError

RISK = 0.3  # the share of wrong answers that fusion tolerates by default


class Doubt(NamedTuple):
    """Confidences below which a face's, or a voice's, own likeliest emotion is uncertain."""

    face: float = 1 - RISK
    voice: float = 1 - RISK


def doubt(weights: Iterable[Path], risk: float = RISK) -> Doubt:
    """The limits that the cards of the models in `weights` state for a share of wrong answers of `risk`.

    Where no card says it, a confidence is taken by its word: of answers given with c, 1 - c are wrong.
    """
    limits = {"facial": 1 - risk, "speech": 1 - risk}
    for path in weights:
        try:
            card = card_of(path)
            if card.task in limits:
                limits[card.task] = threshold(card.selective, risk)
        except ModelError:
            continue
    return Doubt(limits["facial"], limits["speech"])


def shipped() -> list[Path]:
    """The weights that a graph runs if it names no others."""
    return [WEIGHTS / f"{task}.safetensors" for task in ("facial", "speech", "fusion")]
