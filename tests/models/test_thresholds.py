"""Below which confidence a face or a voice by itself is uncertain, as checkpoints state it."""

from pathlib import Path

import msgspec
import pytest

from emopipe.models import checkpoint
from emopipe.models.calibration import Selection
from emopipe.models.thresholds import Thresholds, read_thresholds, shipped_weights
from tests.support.random_weights import facial_weights


def test_a_checkpoint_states_it_for_its_own_half(tmp_path: Path) -> None:
    path = facial_weights(tmp_path / "facial.safetensors")
    state, card = checkpoint.load(path, "facial")
    table = [Selection(risk=0.1, threshold=0.8, coverage=0.4), Selection(risk=0.2, threshold=0.55, coverage=0.7)]
    checkpoint.save(path, state, msgspec.structs.replace(card, selective=table))
    assert read_thresholds([path], 0.2) == Thresholds(face=0.55, voice=0.8)
    assert read_thresholds([path], 0.1).face == 0.8


def test_where_none_states_it_a_confidence_is_taken_as_calibrated(tmp_path: Path) -> None:
    assert read_thresholds([tmp_path / "gone.safetensors"], 0.4) == pytest.approx((0.6, 0.6))


def test_more_tolerance_leaves_less_uncertain_with_the_shipped_models() -> None:
    assert all(path.is_file() for path in shipped_weights())
    strict, lax = read_thresholds(shipped_weights(), 0.2), read_thresholds(shipped_weights(), 0.3)
    assert strict.face > lax.face
    assert strict.voice > lax.voice
