"""Folds of actors and of clips, and that nothing is fitted on what it is scored on."""

import math

import msgspec
import pytest
import torch
from torch import Tensor

from emopipe.models.speech.features import MfccSpec
from emopipe.models.speech.networks import SpeechNetwork
from emopipe.models.speech.speaker import SpeakerStatistics
from emopipe.pipeline.errors import DataError
from emopipe.training.speech.clips import Corpus
from emopipe.training.speech.folds import CALIBRATION_CLIPS, Fold, actor_folds, cross_validate, random_folds
from emopipe.training.speech.temperature import KNOTS_S
from tests.support.clips import make_clips

SPEC = MfccSpec()


def corpus(actors: tuple[int, ...], clips: int = 8) -> Corpus:
    """Clips of each actor, all labels in turn."""
    found = []
    for actor in actors:
        for number, clip in enumerate(make_clips(clips)):
            name = msgspec.structs.replace(clip.name, actor=actor, repetition=number + 1)
            found.append(msgspec.structs.replace(clip, name=name, windows=[(100, 200), (100, 260)]))
    return Corpus(found, {}, "")


class MostlyRight(SpeechNetwork):
    """Right about six of eight clips, whose number is the second coefficient, and always equally sure of it."""

    def __init__(self, logit: float) -> None:
        super().__init__(120, 1)
        self.logit = logit

    def embed(self, features: Tensor) -> Tensor:
        return features[:, 0, 1:2]

    def classify(self, embedding: Tensor) -> Tensor:
        number = embedding[:, 0].round().long() % 8
        label = torch.where(number < 2, number + 1, number)
        return self.logit * torch.nn.functional.one_hot(label, 8).float()


def test_every_clip_is_tested_once_a_seed_and_no_actor_in_two_folds() -> None:
    found = corpus((2, 3, 8, 5))
    folds = actor_folds(found, (1, 2))
    assert [fold.name for fold in folds[:2]] == ["fold-1-seed-1", "fold-2-seed-1"]
    for seed in (1, 2):
        own = [fold for fold in folds if fold.seed == seed]
        assert sorted(index for fold in own for index in fold.tested) == list(range(len(found.clips)))
        actors = [{found.clips[index].name.actor for index in fold.tested} for fold in own]
        assert sorted(actor for each in actors for actor in each) == [2, 3, 5, 8]


def test_actors_of_one_fold_alone_cannot_be_tested() -> None:
    with pytest.raises(DataError, match="at least two of the five folds"):
        actor_folds(corpus((2, 5)), (1,))


def test_random_folds_share_the_clips_out() -> None:
    folds = random_folds(corpus((2, 3)), (1,))
    assert [fold.name for fold in folds] == [f"random-{number}" for number in range(1, 6)]
    assert sorted(index for fold in folds for index in fold.tested) == list(range(16))


def test_a_folds_temperature_is_fitted_on_the_others() -> None:
    found = corpus((2, 3))
    folds = actor_folds(found, (1,))
    prior = SpeakerStatistics(torch.zeros(40).numpy(), torch.ones(40).numpy())

    def fit(fold: Fold) -> tuple[SpeechNetwork, SpeakerStatistics]:
        return MostlyRight(2.0 if fold is folds[0] else 20.0).eval(), prior

    result = cross_validate(found, SPEC, folds, fit)
    assert result.index.tolist() == [0] * 8 + [1] * 8
    assert set(result.calibrated) == set(CALIBRATION_CLIPS)
    first, second = (dict(knots) for knots in result.temperatures_by_fold())
    assert set(first) == set(second) == set(KNOTS_S)
    # Right three times in four: that is what the logit says, once divided by T, of eight labels.
    wanted = math.log(7 * 0.75 / 0.25)
    assert 20 / first[1.0] == pytest.approx(wanted, rel=0.05)  # the first fold's is what the second's network needs
    assert 2 / second[1.0] == pytest.approx(wanted, rel=0.05)
