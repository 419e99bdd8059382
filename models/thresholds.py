"""The confidences below which a face or a voice by itself is uncertain; results do not carry them.

Fusion judges what both say together; whoever shows one half alone (a film, a report, the page) asks here.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from emopipe.models.calibration import threshold
from emopipe.models.checkpoint import WEIGHTS_DIR, read_card
from emopipe.pipeline.errors import ModelError

DEFAULT_RISK = 0.3
"""The share of wrong answers that fusion tolerates by default."""


class Thresholds(NamedTuple):
    """Confidences (0..1) below which the likeliest emotion of a face, or of a voice, is uncertain."""

    face: float = 1 - DEFAULT_RISK
    voice: float = 1 - DEFAULT_RISK


def read_thresholds(weights: Iterable[Path], risk: float = DEFAULT_RISK) -> Thresholds:
    """The thresholds that the cards of the checkpoints `weights` state for a share of wrong answers of `risk`.

    Where no card states one, confidences are taken as calibrated: of answers given with c, 1 - c are wrong.
    """
    found = {"facial": 1 - risk, "speech": 1 - risk}
    for path in weights:
        try:
            card = read_card(path)
        except ModelError:  # the stage that runs the model reports it
            continue
        if card.task in found and card.selective:
            found[card.task] = threshold(card.selective, risk)
    return Thresholds(found["facial"], found["speech"])


def shipped_weights() -> list[Path]:
    """The checkpoints that a graph runs if it names no others."""
    return [WEIGHTS_DIR / f"{task}.safetensors" for task in ("facial", "speech", "fusion")]
