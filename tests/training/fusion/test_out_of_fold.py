"""What networks say of voices they were not trained on."""

from pathlib import Path

import numpy as np
import pytest

from emopipe.training.fusion.out_of_fold import SpeechAnswerCache, SpeechAnswers, add_noise
from emopipe.training.fusion.pairs import Pairs


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
