"""Recordings of which both halves are there, and what networks say of voices they were not trained on."""

from pathlib import Path

import numpy as np
import pytest
import torch

from emopipe.models.fusion.networks import MAX_WINDOWS, STEPS
from emopipe.models.labels import FACE
from emopipe.pipeline.errors import DataError
from emopipe.training.fusion import pairs
from emopipe.training.fusion.batches import (
    HOLD_S,
    Augmentation,
    FusionBatches,
    as_tensors,
    random_moments,
    whole_recordings,
    without_face,
    without_voice,
)
from emopipe.training.fusion.out_of_fold import SpeechAnswerCache, SpeechAnswers, add_noise
from emopipe.training.fusion.pairs import Pairs
from emopipe.training.fusion.settings import Settings
from emopipe.training.fusion.study import draw_contradicting, mean_face, shared_labels
from tests.support.pairs import faces, table, voices
from tests.support.random_weights import speech_weights

ACTORS = (1, 2)
EVEN: dict[str, object] = {"clip": ["01-01-03-01-01-01-01"], "frame": [26], **{label: [1 / 7] for label in FACE}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pairs")


@pytest.fixture(scope="module")
def found(folder: Path) -> Pairs:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        return pairs.read(voices(folder / "data", ACTORS), faces(folder / "faces.parquet", (*ACTORS, 4)))


@pytest.fixture(scope="module")
def heard(folder: Path, found: Pairs) -> list[SpeechAnswers]:
    weights = speech_weights(folder / "speech.safetensors")
    return SpeechAnswerCache(folder / "cache").of([pair.clip for pair in found.pairs], weights)


def test_sound_and_face_of_one_recording_are_put_together(found: Pairs) -> None:
    names = sorted((pair.name.actor, pair.name.emotion) for pair in found.pairs)
    assert names == [(actor, emotion) for actor in ACTORS for emotion in (1, 3, 5)]
    assert found.actors == [1, 2]
    assert found.notes == ["6 recordings have both a face and a voice.", "3 clips have a face only and were left out."]
    happy = next(pair for pair in found.pairs if pair.name.emotion == 3)
    assert FACE[int(happy.face.probabilities.mean(0).argmax())] == "happy"
    assert happy.face.times[0] == pytest.approx(25 / 30)
    assert happy.face.probabilities.sum(1) == pytest.approx(np.ones(29))


def test_rows_that_are_no_distributions_are_left_out_and_counted(tmp_path: Path) -> None:
    columns: dict[str, list[object]] = {
        "clip": [*["01-01-03-01-01-01-01"] * 5, "my-face", "01-02-03-01-01-01-01"],
        "frame": [28, 26, 27, 29, 30, 26, 26],  # in no order
        **{label: [1 / 7] * 7 for label in FACE},
    }
    columns["happy"][3] = float("nan")
    columns["happy"][4] = 3.0
    courses, dropped = pairs.read_faces(table(tmp_path / "faces.parquet", columns))
    (course,) = courses.values()
    assert course.times == pytest.approx([25 / 30, 26 / 30, 27 / 30])
    assert dropped == 4


def test_what_is_missing_or_damaged_is_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.parquet: no such file; expected a Parquet file with the columns clip"):
        pairs.read_faces(tmp_path / "gone.parquet")
    (tmp_path / "half.parquet").write_bytes((folder / "faces.parquet").read_bytes()[:5000])
    with pytest.raises(DataError, match="not a whole Parquet file"):
        pairs.read_faces(tmp_path / "half.parquet")
    lacking = {name: values for name, values in EVEN.items() if name != "sad"}
    with pytest.raises(DataError, match="no column sad"):
        pairs.read_faces(table(tmp_path / "lacking.parquet", lacking))  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"no clip of RAVDESS speech in its 1 rows"):
        pairs.read_faces(table(tmp_path / "others.parquet", EVEN | {"clip": ["holiday"]}))  # type: ignore[arg-type]
    other = table(tmp_path / "other.parquet", EVEN | {"clip": ["01-01-03-01-01-01-24"]})  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"none of its 1 clips has its sound in"):
        pairs.read(folder / "data", other)


def test_answers_about_voices_are_kept(folder: Path, found: Pairs, heard: list[SpeechAnswers]) -> None:
    (kept,) = (folder / "cache").glob("*.npy")
    before = kept.stat().st_mtime_ns
    again = SpeechAnswerCache(folder / "cache").of([pair.clip for pair in found.pairs], folder / "speech.safetensors")
    assert kept.stat().st_mtime_ns == before
    assert [np.asarray(voice.whole.probabilities).tolist() for voice in again] == [
        np.asarray(voice.whole.probabilities).tolist() for voice in heard
    ]
    assert [len(voice.windows) for voice in heard] == [len(pair.clip.windows) for pair in found.pairs]


def test_a_moment_knows_the_windows_that_had_ended(heard: list[SpeechAnswers]) -> None:
    voice = next(voice for voice in heard if len(voice.windows) > 1)
    between = (voice.ends[0] + voice.ends[1]) / 2
    (only,) = voice.at(between)
    assert only.age == pytest.approx(between - voice.ends[0])
    assert voice.at(voice.ends[0] - 0.01) == []


def test_noise_changes_the_sound_and_nothing_else(found: Pairs) -> None:
    clips = [pair.clip for pair in found.pairs]
    spoilt = add_noise(clips)
    for clip, other in zip(clips, spoilt, strict=True):
        assert (other.name, other.windows, other.speech) == (clip.name, clip.windows, clip.speech)
        assert (other.mfcc - clip.mfcc).std(0) == pytest.approx(clip.mfcc.std(0), rel=0.35)
    assert all(np.array_equal(a.mfcc, b.mfcc) for a, b in zip(spoilt, add_noise(clips), strict=True))


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


def test_contradictions_are_of_the_same_actor_and_of_another_emotion(found: Pairs) -> None:
    donors = draw_contradicting(found.pairs, np.random.default_rng(0))
    for pair, donor in zip(found.pairs, donors, strict=True):
        other = found.pairs[donor].name
        assert other.actor == pair.name.actor
        assert other.emotion != pair.name.emotion
    assert not len(draw_contradicting(found.pairs[:1], np.random.default_rng(0)))


def test_the_plain_reading_shares_out_neutral(found: Pairs) -> None:
    read = mean_face(found.pairs)
    assert read.sum(1) == pytest.approx(np.ones(6))
    assert read[:, 1] == pytest.approx(2 * read[:, 0])
    shared, right = shared_labels(read, np.array([pair.name.label for pair in found.pairs]))
    assert [FACE[label] for label in shared.argmax(1)] == [FACE[label] for label in right]
