"""Folds of actors and of clips, and that nothing is fitted on what it is scored on."""

import math

import msgspec
import pytest
import torch
from torch import Tensor

from emopipe.models.speech.features import MfccSpec
from emopipe.models.speech.networks import SpeechNetwork
from emopipe.models.speech.speaker import MfccStatistics
from emopipe.pipeline.errors import DataError
from emopipe.training.speech.clips import Corpus
from emopipe.training.speech.folds import (
    CALIBRATION_CLIPS,
    Fitted,
    Fold,
    corpus_folds,
    cross_validate,
    random_folds,
    speaker_folds,
)
from emopipe.training.speech.layouts import parse
from emopipe.training.speech.ravdess import speaker
from emopipe.training.speech.temperature import KNOTS_S
from tests.support.clips import make_clips

SPEC = MfccSpec()


def corpus(actors: tuple[int, ...], clips: int = 8) -> Corpus:
    """Clips of each actor, all labels in turn."""
    found = []
    for actor in actors:
        for number, clip in enumerate(make_clips(clips)):
            name = msgspec.structs.replace(clip.name, speaker=speaker(actor), stem=f"{actor}-{number}")
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
    folds = speaker_folds(found, (1, 2))
    assert [fold.name for fold in folds[:2]] == ["fold-1-seed-1", "fold-2-seed-1"]
    for seed in (1, 2):
        own = [fold for fold in folds if fold.seed == seed]
        assert sorted(index for fold in own for index in fold.tested) == list(range(len(found.clips)))
        actors = [{found.clips[index].name.speaker for index in fold.tested} for fold in own]
        assert sorted(actor for each in actors for actor in each) == [speaker(actor) for actor in (2, 3, 5, 8)]


def test_actors_of_one_fold_alone_cannot_be_tested() -> None:
    with pytest.raises(DataError, match="at least two of RAVDESS's five folds"):
        speaker_folds(corpus((2, 5)), (1,))


def others() -> Corpus:
    """Clips of RAVDESS, of EmoDB and of URDU, three speakers each."""
    paths = [f"{speaker}a0{number}Na.wav" for speaker in ("03", "08", "09") for number in (1, 2)]
    paths += [f"Sad/SM{speaker}_F{number}_S{number}.wav" for speaker in (1, 2, 3) for number in (1, 2)]
    clips = [msgspec.structs.replace(make_clips(1)[0], name=parse(path)) for path in paths]
    return Corpus([*corpus((2, 3, 8), 2).clips, *clips], {}, "")


def test_speakers_of_other_corpora_are_shared_out_over_the_folds() -> None:
    found = others()
    folds = speaker_folds(found, (1,))
    tested = [{found.clips[index].name.speaker for index in fold.tested} for fold in folds]
    assert sorted(name for each in tested for name in each) == found.speakers
    assert all(len(each) == 3 for each in tested)
    apart = Corpus([clip for clip in found.clips if clip.name.corpus == "urdu"], {}, "")
    assert len(speaker_folds(apart, (1,))) == 3
    with pytest.raises(DataError, match="only emodb/03: at least two speakers are needed"):
        speaker_folds(Corpus([clip for clip in found.clips if clip.name.speaker == "emodb/03"], {}, ""), (1,))


def test_each_corpus_is_left_out_once() -> None:
    found = others()
    folds = corpus_folds(found, (1,))
    assert [fold.name for fold in folds] == ["fold-without-emodb", "fold-without-ravdess", "fold-without-urdu"]
    for fold, left_out in zip(folds, found.corpora, strict=True):
        assert {found.clips[index].name.corpus for index in fold.tested} == {left_out}
    with pytest.raises(DataError, match="only the corpus ravdess: give several"):
        corpus_folds(corpus((2, 3)), (1,))


def test_random_folds_share_the_clips_out() -> None:
    folds = random_folds(corpus((2, 3)), (1,))
    assert [fold.name for fold in folds] == [f"random-{number}" for number in range(1, 6)]
    assert sorted(index for fold in folds for index in fold.tested) == list(range(16))


def test_a_folds_temperature_is_fitted_on_the_others() -> None:
    found = corpus((2, 3))
    folds = speaker_folds(found, (1,))
    prior = MfccStatistics(torch.zeros(40).numpy(), torch.ones(40).numpy(), min_clips=100)

    def fit(fold: Fold) -> Fitted:
        return Fitted(MostlyRight(2.0 if fold is folds[0] else 20.0).eval(), SPEC, prior)

    result = cross_validate(found, folds, fit)
    assert result.index.tolist() == [0] * 8 + [1] * 8
    assert set(result.after) == set(CALIBRATION_CLIPS)
    first, second = (dict(temperature.knots) for temperature in result.temperatures())
    assert set(first) == set(second) == set(KNOTS_S)
    # Right three times in four: that is what the logit says, once divided by T, of eight labels.
    wanted = math.log(7 * 0.75 / 0.25)
    assert 20 / first[1.0] == pytest.approx(wanted, rel=0.05)  # the first fold's is what the second's network needs
    assert 2 / second[1.0] == pytest.approx(wanted, rel=0.05)
