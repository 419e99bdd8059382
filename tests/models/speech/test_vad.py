import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from emopipe.models.speech.vad import VoiceActivity
from tests.support.voices import silence, voice

SOUND = np.concatenate([silence(0.5), voice(0.5), silence(0.5)])


def test_it_tells_a_voice_from_a_quiet_room() -> None:
    heard = VoiceActivity().push(SOUND)
    assert len(heard) == 150
    assert not any(heard[:50])
    assert all(heard[50:100])
    assert not any(heard[-30:])


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, len(SOUND)), max_size=30))
def test_frames_count_from_the_first_sample_not_from_the_chunk(cuts: list[int]) -> None:
    detector = VoiceActivity()
    edges = [0, *sorted(cuts), len(SOUND)]
    chunks = [detector.push(SOUND[start:end]) for start, end in itertools.pairwise(edges)]
    assert list(itertools.chain(*chunks)) == VoiceActivity().push(SOUND)


def test_reset_forgets_the_pending_samples() -> None:
    detector = VoiceActivity()
    detector.push(SOUND[:100])
    detector.reset()
    assert detector.push(SOUND) == VoiceActivity().push(SOUND)


def test_sound_over_full_scale_is_clipped_not_wrapped() -> None:
    assert all(VoiceActivity().push(np.concatenate([silence(0.5), voice(0.5) * 50]))[60:])
