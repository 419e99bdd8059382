"""Training a head: on vectors made up, whose classes, speakers and noise are known."""

import numpy as np
import pytest

from emopipe.models.labels import SPEECH
from emopipe.pipeline.errors import DataError
from emopipe.training.speech.clips import Clip
from emopipe.training.speech.degradation import degrade
from emopipe.training.speech.discriminant import fit_head
from emopipe.training.speech.layouts import parse
from emopipe.training.speech.non_voices import KINDS, babble, make
from emopipe.training.speech.settings import Settings
from tests.support.voices import RATE, voice

SIZE = 24
SETTINGS = Settings(directions=8)
RANDOM = np.random.default_rng(3)
CLASSES, OFFSETS = RANDOM.normal(0, 1.0, (8, SIZE)), RANDOM.normal(0, 3.0, (24, SIZE))
SHIFT = RANDOM.normal(0, 2.0, SIZE)  # what a telephone does


def make_clips(actors: tuple[int, ...], emotions: tuple[int, ...] = tuple(range(1, 9))) -> list[Clip]:
    """Vectors that are the sum of a class, a speaker and noise."""
    random, clips = np.random.default_rng(actors[0]), []
    for actor in actors:
        for emotion in emotions:
            for take in (1, 2):
                about = np.array([2.0, 0.0])
                rows = CLASSES[emotion - 1] + OFFSETS[actor - 1] + random.normal(0, 0.4, (2, SIZE))
                vectors = np.concatenate([np.tile(about, (2, 1)), rows], 1).astype(np.float16)
                moved = vectors[0] + np.concatenate([[0, 0], SHIFT * random.normal()])
                name = parse(f"03-01-{emotion:02d}-01-01-{take:02d}-{actor:02d}.wav")
                clips.append(Clip(name, np.empty((0, 40), np.float32), [], (0, 0), vectors, moved.astype(np.float16)))
    return clips


NOISES = np.concatenate([np.full((40, 2), 2.0), np.random.default_rng(9).normal(12, 1, (40, SIZE))], 1)


def rows_of(clips: list[Clip]) -> np.ndarray:
    return np.stack([clip.vectors[0] for clip in clips]).astype(np.float32)


def test_it_knows_the_emotions_of_strangers() -> None:
    head = fit_head(make_clips(tuple(range(1, 13))), NOISES, SETTINGS)
    clips = make_clips((20, 21, 22))
    rows = rows_of(clips)
    rows[:, 2:] -= np.repeat(OFFSETS[[19, 20, 21]], 16, axis=0)  # their speakers are known
    said = head.outputs(list(rows)).logits.argmax(1)
    assert (said == [clip.name.label for clip in clips]).mean() > 0.9


def test_what_a_telephone_changes_is_not_listened_to() -> None:
    clips = make_clips(tuple(range(1, 13)))
    heeded = fit_head(clips, NOISES, Settings(directions=8, degradation=50.0)).weights["linear.weight"]
    ignored = fit_head(clips, NOISES, Settings(directions=8, degradation=0.0)).weights["linear.weight"]
    along = SHIFT / np.linalg.norm(SHIFT)
    assert np.abs(heeded @ along).mean() < 0.5 * np.abs(ignored @ along).mean()


def test_the_gate_lets_voices_in_and_keeps_other_sounds_out() -> None:
    head = fit_head(make_clips(tuple(range(1, 13))), NOISES, SETTINGS)
    assert (head.voice(head.embed(rows_of(make_clips((20, 21))))) > 0).all()
    assert (head.voice(head.embed(NOISES.astype(np.float32))) < 0).all()


def test_what_was_trained_on_is_near_and_all_else_is_farther_away() -> None:
    clips = make_clips(tuple(range(1, 13)))
    head = fit_head(clips, NOISES, SETTINGS)
    near, far = (head.distance(head.embed(rows)) for rows in (rows_of(clips), NOISES.astype(np.float32)))
    assert float(near.mean()) == pytest.approx(1.0, abs=0.5)
    assert float(far.min()) > 2 * float(near.mean())


def test_where_nobody_is_calm_neutral_is_shared_out() -> None:
    head = fit_head(make_clips((1, 2, 3, 4), (1, 3, 4, 5, 6, 7, 8)), NOISES, SETTINGS)
    answers = head.outputs(list(rows_of(make_clips((1,))))).logits
    np.testing.assert_array_equal(answers[:, SPEECH.index("calm")], answers[:, SPEECH.index("neutral")])


def test_the_same_clips_give_the_same_bits() -> None:
    one, other = (fit_head(make_clips((1, 2, 3)), NOISES, SETTINGS).state_dict() for _ in range(2))
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_an_emotion_that_nobody_shows_and_a_single_speaker_are_refused() -> None:
    with pytest.raises(DataError, match="nobody is happy, sad in the clips to train on; add a corpus such as RAVDESS"):
        fit_head(make_clips((1, 2), (1, 2, 5, 6, 7, 8)), NOISES, SETTINGS)
    with pytest.raises(DataError, match="only ravdess/01 is there to train on"):
        fit_head(make_clips((1,)), NOISES, SETTINGS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_sound_that_is_no_voice(kind: str) -> None:
    for seed in range(3):
        sound = make(kind, np.random.default_rng(seed), 2.0)
        assert sound.shape == (2 * RATE,)
        assert np.isfinite(sound).all()
        assert 0.01 < np.abs(sound).max() <= 1.0


def test_babble_and_mishaps_are_sound_of_the_voices() -> None:
    random, voices = np.random.default_rng(1), [voice(1.0, pitch) for pitch in (100.0, 140.0, 210.0)]
    assert 0 < np.abs(babble(voices, random, 2.0)).max() <= 1
    lengths = {len(degrade(voice(4.0), np.random.default_rng(seed))) for seed in range(8)}
    assert len(lengths) > 4  # faster, slower, and cut
    assert np.array_equal(degrade(voices[0], np.random.default_rng(5)), degrade(voices[0], np.random.default_rng(5)))
