import numpy as np
import pytest

from emopipe.models.speech.speaker import SpeakerStatistics
from emopipe.training.speech.clips import Clip
from emopipe.training.speech.ravdess import parse_name
from emopipe.training.speech.speakers import Speakers, calibrate_speakers

PRIOR = SpeakerStatistics(np.zeros(40), np.ones(40))


def make_clips() -> list[Clip]:
    """Two actors with three clips each: the first one's frames are around 1, the second one's around -1."""
    random = np.random.default_rng(0)
    clips = []
    for actor, level in ((1, 1.0), (2, -1.0)):
        for emotion in (1, 2, 3):
            mfcc = random.normal(level, 1.0, (300, 40)).astype(np.float32)
            clips.append(Clip(parse_name(f"03-01-{emotion:02d}-01-01-01-{actor:02d}"), mfcc, [], (50, 250)))
    return clips


def test_others_are_of_the_same_actor_and_never_the_clip_itself() -> None:
    clips = make_clips()
    clips[0].mfcc[:] = 1000.0
    speakers = Speakers(clips, PRIOR)
    random = np.random.default_rng(1)
    assert speakers.others(clips[0].name, 1, random).frames == 200  # the speech of one clip, not its silence
    everything = speakers.others(clips[0].name, 60, random)
    assert everything.frames == 400
    assert everything.apply(np.ones((1, 40), np.float32)).max() < 1  # knows nothing of the 1000
    assert speakers.others(clips[0].name, 0, random).frames == 0


def test_calibrating_brings_voices_together_and_keeps_everything_else() -> None:
    clips = make_clips()
    apart = clips[0].mfcc.mean() - clips[3].mfcc.mean()
    near = calibrate_speakers(clips, PRIOR, 60)
    assert near[0].mfcc.mean() - near[3].mfcc.mean() < 0.85 * apart
    assert [(clip.name, clip.speech) for clip in near] == [(clip.name, clip.speech) for clip in clips]
    assert all(np.array_equal(a.mfcc, b.mfcc) for a, b in zip(near, calibrate_speakers(clips, PRIOR, 60), strict=True))
    assert calibrate_speakers(clips, PRIOR, 0)[0].mfcc == pytest.approx(clips[0].mfcc)
