import numpy as np
import pytest

from emopipe.models.speech.features import MfccSpec
from emopipe.models.speech.speaker import MfccStatistics
from emopipe.training.speech.clips import Clip
from emopipe.training.speech.layouts import parse
from emopipe.training.speech.speakers import Speakers, calibrate_by_others, calibrate_in_order

PRIOR = MfccStatistics(np.zeros(40), np.ones(40))


def make_clips() -> list[Clip]:
    """Two actors with three clips each: the first one's frames are around 1, the second one's around -1."""
    random = np.random.default_rng(0)
    clips = []
    for actor, level in ((1, 1.0), (2, -1.0)):
        for emotion in (1, 2, 3):
            mfcc = random.normal(level, 1.0, (300, 40)).astype(np.float32)
            clips.append(Clip(parse(f"03-01-{emotion:02d}-01-01-01-{actor:02d}.wav"), mfcc, [], (50, 250)))
    return clips


def test_others_are_of_the_same_actor_and_never_the_clip_itself() -> None:
    clips = make_clips()
    clips[0].mfcc[:] = 1000.0
    speakers = Speakers(((clip.name, clip.rows(MfccSpec)[0]) for clip in clips), PRIOR)
    random = np.random.default_rng(1)
    assert speakers.others(clips[0].name, 1, random).seconds == pytest.approx(
        2.0
    )  # the speech of one clip, not its silence
    everything = speakers.others(clips[0].name, 60, random)
    assert everything.seconds == pytest.approx(4.0)
    assert everything.apply(np.ones((1, 40), np.float32)).max() < 1  # knows nothing of the 1000
    assert speakers.others(clips[0].name, 0, random).seconds == 0


def test_calibrating_brings_voices_together() -> None:
    clips = make_clips()
    names, rows = [clip.name for clip in clips], [clip.rows(MfccSpec) for clip in clips]
    apart = rows[0][0].mean() - rows[3][0].mean()
    near = calibrate_by_others(names, rows, PRIOR, 60)
    assert near[0][0].mean() - near[3][0].mean() < 0.85 * apart
    again = calibrate_by_others(names, rows, PRIOR, 60)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(near, again, strict=True))
    assert calibrate_by_others(names, rows, PRIOR, 0)[0][0] == pytest.approx(rows[0][0])


def test_in_order_a_clip_is_normalised_by_those_before_it_and_by_itself() -> None:
    clips = make_clips()
    names, rows = [clip.name for clip in clips], [clip.rows(MfccSpec) for clip in clips]
    found = calibrate_in_order(names, rows, PRIOR)
    left = [abs(each[0].mean()) for each in found]
    assert left[0] > left[1] > left[2]
    assert left[3] > left[4] > left[5]  # the other speaker starts anew
    later = calibrate_in_order(names[:2], rows[:2], PRIOR)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(found, later, strict=False))  # nothing of what comes after
