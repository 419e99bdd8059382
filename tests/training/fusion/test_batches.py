"""Moments of recordings, and what is varied in them."""

import numpy as np
import pytest
import torch

from emopipe.models.fusion.networks import MAX_WINDOWS, STEPS
from emopipe.training.fusion.batches import (
    HOLD_S,
    FusionBatches,
    as_tensors,
    random_moments,
    whole_recordings,
    without_face,
    without_voice,
)
from emopipe.training.fusion.out_of_fold import SpeechAnswers
from emopipe.training.fusion.pairs import Pairs
from emopipe.training.fusion.settings import Augmentation, Settings


def test_whole_recordings_and_moments_within_them(found: Pairs, heard: list[SpeechAnswers]) -> None:
    end = whole_recordings(found.pairs, heard)
    assert end.heard.sum(1).tolist() == [1.0] * 6
    assert (end.seen.sum(1) == 5).all()  # 29 frames of 1/30 s in steps of 0.2 s
    within = random_moments(found.pairs, heard, np.random.default_rng(0))
    assert within.seen.shape == (6, STEPS)
    assert within.heard.shape == (6, MAX_WINDOWS)
    assert (within.seen.sum(1) >= 1).all()
    assert HOLD_S == 1.0


def test_variation_keeps_the_label_and_drops_halves_as_often_as_it_should(
    found: Pairs, heard: list[SpeechAnswers]
) -> None:
    moment = as_tensors(
        type(whole_recordings(found.pairs, heard))(
            *(np.repeat(p, 300, 0) for p in whole_recordings(found.pairs, heard))
        )
    )
    targets = torch.tensor([pair.name.label for pair in found.pairs]).repeat_interleave(300)
    how = Augmentation(face_alone=0.2, voice_alone=0.3, shared_out=0.1, contradicting=0.2)
    batches = FusionBatches(moment, targets, 1800, how, seed=1)
    (batch,) = batches
    assert (batch.moment.heard.sum(1) == 0).float().mean() == pytest.approx(0.2, abs=0.04)
    assert (batch.moment.seen.sum(1) == 0).float().mean() == pytest.approx(0.3, abs=0.04)
    assert batch.truth.sum(1).tolist() == pytest.approx([1.0] * 1800)
    # Two thirds of the donors have another label, so that a contradiction remains.
    assert (batch.truth.amax(1) < 1).float().mean() == pytest.approx(0.2 * 2 / 3, abs=0.04)
    (same,) = FusionBatches(moment, targets, 1800, how, seed=1)
    assert all(torch.equal(one, other) for one, other in zip(batch.moment, same.moment, strict=True))
    batches.epoch = 1
    (other,) = batches
    assert not torch.equal(batch.moment.face, other.moment.face)


def test_without_variation_nothing_changes(found: Pairs, heard: list[SpeechAnswers]) -> None:
    moment = as_tensors(whole_recordings(found.pairs, heard))
    none = Augmentation(**dict.fromkeys(Augmentation.__struct_fields__, 0))
    targets = torch.tensor([pair.name.label for pair in found.pairs])
    (batch,) = FusionBatches(moment, targets, 6, none, seed=1)
    order = batch.truth.argmax(1).argsort(stable=True)
    assert batch.moment.face[order].sum() == pytest.approx(float(moment.face.sum()), abs=1e-3)
    assert batch.moment.seen.sum() == moment.seen.sum()
    assert isinstance(Settings(), Augmentation)


def test_a_half_can_be_taken_away(found: Pairs, heard: list[SpeechAnswers]) -> None:
    moment = whole_recordings(found.pairs, heard)
    assert not without_face(moment).seen.any()
    assert without_face(moment).heard.any()
    assert not without_voice(moment).heard.any()
    assert not without_voice(moment).timbre.any()
    assert np.array_equal(without_voice(moment).face, moment.face)
