from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emopipe.models.speech.embedding import KNOWN, SECONDS
from emopipe.models.speech.speaker import MfccStatistics, VectorStatistics
from emopipe.pipeline.errors import DataError

CLIP_FRAMES = 262  # in a clip, on average
MEAN, DEVIATION = np.linspace(-5, 5, 40), np.linspace(1, 3, 40)


def stranger() -> MfccStatistics:
    return MfccStatistics(MEAN, DEVIATION)


def speech(frames: int, seed: int = 0, shift: float = 2.0, stretch: float = 1.5) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=(frames, 40))
    return (MEAN + shift + DEVIATION * stretch * noise).astype(np.float32)


def test_of_a_stranger_nothing_changes() -> None:
    mfcc = speech(50)
    assert stranger().apply(mfcc) is mfcc


def test_the_more_was_heard_the_more_it_counts() -> None:
    speaker = stranger()
    weights = []
    for number in range(8):
        weights.append(speaker.weight)
        speaker.update(speech(CLIP_FRAMES, number))
    assert weights == sorted(weights)
    assert weights[0] == 0
    assert weights[6] == pytest.approx(0.5)


def test_too_little_speech_changes_nothing() -> None:
    speaker = MfccStatistics(MEAN, DEVIATION, min_clips=3)
    mfcc = speech(50)
    for number in range(2):
        speaker.update(speech(CLIP_FRAMES, number))
        assert speaker.apply(mfcc) is mfcc
    speaker.update(speech(CLIP_FRAMES, 2))
    assert speaker.weight == pytest.approx(1 / 3)
    assert np.abs(speaker.apply(mfcc) - mfcc).mean() > 0.1
    assert speaker.fresh().min_clips == 3


def test_a_voice_heard_for_long_looks_like_the_training_speakers() -> None:
    speaker = stranger()
    for number in range(600):
        speaker.update(speech(CLIP_FRAMES, number))
    result = speaker.apply(speech(20_000, 1000))
    assert result.dtype == np.float32
    assert result.mean(0) == pytest.approx(MEAN, abs=0.12)
    assert result.std(0) == pytest.approx(DEVIATION, rel=0.03)


def test_little_speech_moves_the_features_little() -> None:
    speaker = stranger()
    speaker.update(speech(20))
    mfcc = speech(100, 1)
    assert np.abs(speaker.apply(mfcc) - mfcc).max() < 0.25


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(1, 60), min_size=1, max_size=6))
def test_pieces_and_parts_give_what_the_whole_gives(sizes: list[int]) -> None:
    whole, pieces, parts = stranger(), stranger(), stranger()
    mfcc = speech(sum(sizes))
    whole.update(mfcc)
    start = 0
    for size in sizes:
        pieces.update(mfcc[start : start + size])
        part = parts.fresh()
        part.update(mfcc[start : start + size])
        parts.add(part)
        start += size
    assert pieces.seconds == pytest.approx(whole.seconds)
    assert parts.seconds == pytest.approx(whole.seconds)
    for other in (pieces, parts):
        assert other.apply(mfcc) == pytest.approx(whole.apply(mfcc), abs=1e-4)


def test_one_frame_and_constant_sound_stay_finite() -> None:
    speaker = stranger()
    speaker.update(np.zeros((1, 40), np.float32))
    assert np.isfinite(speaker.apply(speech(10))).all()


def test_a_profile_is_kept_and_taken_up(tmp_path: Path) -> None:
    speaker = stranger()
    speaker.update(speech(300))
    speaker.save(tmp_path / "ada.json")
    again = stranger().load(tmp_path / "ada.json")
    assert again.weight == speaker.weight
    assert np.array_equal(again.apply(speech(40, 1)), speaker.apply(speech(40, 1)))


def test_profiles_that_are_none(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    with pytest.raises(DataError, match="cannot be read"):
        stranger().load(path)
    path.write_text("{}")
    with pytest.raises(DataError, match=r"profile.json: not a speaker's profile"):
        stranger().load(path)
    MfccStatistics(MEAN[:3], DEVIATION[:3]).save(path)
    with pytest.raises(DataError, match="3 numbers, but the model has 40; make it again"):
        stranger().load(path)
    with pytest.raises(DataError, match="cannot be written"):
        stranger().save(tmp_path / "none" / "profile.json")


def test_only_what_is_new_in_a_row_is_learnt() -> None:
    whole, pieces, mfcc = stranger(), stranger(), speech(200)
    whole.update(mfcc)
    pieces.update(mfcc[:150])
    pieces.update(mfcc[50:], seconds=0.5)
    assert pieces.apply(speech(9, 1)) == pytest.approx(whole.apply(speech(9, 1)), abs=1e-4)


def vector(seconds: float, level: float) -> np.ndarray:
    return np.concatenate([[seconds, 0.0], np.full(5, level)]).astype(np.float32)


def test_a_speaker_s_vectors_lose_their_mean_as_it_becomes_known() -> None:
    speaker = VectorStatistics(np.zeros(7), np.ones(7))
    assert speaker.apply(vector(2.0, 4.0)).tolist() == vector(2.0, 4.0).tolist()
    for number in range(1, 60):
        speaker.update(vector(2.62, 3.0))
        found = speaker.apply(vector(2.0, 4.0))
        assert found[SECONDS] == 2.0
        assert found[KNOWN] == pytest.approx(number / (number + 3))
        assert found[2:] == pytest.approx(4.0 - 3.0 * number / (number + 3), abs=1e-4)


def test_a_vector_counts_by_its_new_seconds() -> None:
    speaker = VectorStatistics(np.zeros(7), np.ones(7))
    speaker.update(vector(3.0, 1.0))
    speaker.update(vector(3.0, 5.0), seconds=1.0)
    assert speaker.seconds == 4.0
    weight = speaker.weight
    assert speaker.apply(vector(1.0, 0.0))[2:] == pytest.approx(-weight * 2.0)
