"""A recording's speech in windows and segments: as a stream hears it, and as training does."""

import numpy as np
import numpy.typing as npt

from emopipe.models.speech.features import mfcc
from emopipe.models.speech.segmenter import MAX_SEGMENT_NS, SpeechSegmenter
from emopipe.models.speech.windower import SpeechWindower, Window
from emopipe.pipeline.clock import SECOND
from tests.support.voices import silence, voice

Floats = npt.NDArray[np.float32]
TICK = SECOND // 16000


def segmented(*pieces: tuple[float, Floats], chunk: int = 1024) -> SpeechSegmenter:
    """Sounds, each from its time (s) on."""
    segmenter = SpeechSegmenter()
    end = 0
    for start, samples in pieces:
        at = round(start * SECOND)
        if at > end:
            segmenter.skip(at)
        for first in range(0, len(samples), chunk):
            segmenter.push(samples[first : first + chunk], at + first * TICK)
        end = at + len(samples) * TICK
    segmenter.finish()
    return segmenter


def spoken(*seconds: float) -> Floats:
    """So much silence, voice, silence …"""
    return np.concatenate([voice(each) if place % 2 else silence(each) for place, each in enumerate(seconds)])


def test_the_windows_are_those_of_a_stream() -> None:
    sound = spoken(0.4, 1.7, 0.8, 0.9, 0.5)
    windower = SpeechWindower()
    events = [event for event in windower.push(sound, 0) + windower.flush() if isinstance(event, Window)]
    heard = segmented((0.0, sound)).windows
    assert [(window.start, window.end) for window in heard] == [(event.start, event.end) for event in events]
    assert all(np.array_equal(a.mfcc, b.mfcc) for a, b in zip(heard, events, strict=True))


def test_speech_with_pauses_is_one_stretch_from_the_first_window_to_the_last() -> None:
    sound = spoken(0.4, 1.2, 0.9, 1.1, 0.6)
    segmenter = segmented((0.0, sound))
    (segment,) = segmenter.segments
    first, last = segmenter.windows[0], segmenter.windows[-1]
    begin = first.start // (160 * TICK)
    assert segment.start == first.start
    assert np.array_equal(segment.mfcc, mfcc(sound)[begin : last.start // (160 * TICK) + len(last.mfcc)])


def test_how_the_sound_is_cut_up_does_not_matter() -> None:
    sound = spoken(0.3, 1.5, 0.5)
    (whole,), (pieces,) = (
        segmented((0.0, sound), chunk=len(sound)).segments,
        segmented((0.0, sound), chunk=333).segments,
    )
    assert whole.mfcc.tobytes() == pieces.mfcc.tobytes()
    assert whole[:2] == pieces[:2]


def test_long_speech_is_cut_into_stretches_that_follow_each_other() -> None:
    segmenter = segmented((0.0, spoken(0.2, 14.0, 0.6, 9.0, 0.4)))
    assert len(segmenter.segments) >= 3
    assert all(segment.end - segment.start <= MAX_SEGMENT_NS for segment in segmenter.segments)
    for one, other in zip(segmenter.segments, segmenter.segments[1:], strict=False):
        assert one.end <= other.start
    assert sum(len(segment.mfcc) for segment in segmenter.segments) >= 2280


def test_a_hole_in_the_sound_parts_it() -> None:
    segmenter = segmented((0.25, spoken(0.2, 1.0, 0.2)), (4.0, spoken(0.2, 1.0, 0.3)))
    early, late = segmenter.segments
    assert early.end <= 1.7 * SECOND
    assert late.start >= 4 * SECOND
    assert len(segmenter.windows) >= 4


def test_a_hole_shorter_than_the_windower_notices_is_none() -> None:
    sound = spoken(0.3, 1.6, 0.3)
    cut = 16000
    segmenter = SpeechSegmenter()
    segmenter.push(sound[:cut], 0)
    segmenter.skip(SECOND + 15_000_000)
    segmenter.push(sound[cut:], SECOND + 15_000_000)
    segmenter.finish()
    assert len(segmenter.segments) == 1


def test_silence_has_no_stretches() -> None:
    segmenter = segmented((0.0, silence(3.0)))
    assert segmenter.segments == segmenter.windows == []
    assert segmented().segments == []
