import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emopipe.models.envelope import envelope
from emopipe.models.speech.features import mfcc
from emopipe.models.speech.windower import Silence, SpeechWindower, Window
from emopipe.pipeline.clock import SECOND
from tests.support.voices import RATE, Floats, silence, voice

HOP = SECOND // 2
MS = 1_000_000
# Somebody speaks from 1.0 to 3.2 s and from 5.1 to 5.9 s; it ends between two points of the grid.
SOUND = np.concatenate([silence(1.0), voice(2.2), silence(1.9, 1), voice(0.8, 180), silence(0.83, 2)])
Event = Window | Silence


def feed(
    sound: Floats, cuts: Sequence[int] = (), start: int = 0, windower: SpeechWindower | None = None
) -> list[Event]:
    windower = windower or SpeechWindower()
    events: list[Event] = []
    for begin, end in itertools.pairwise([0, *sorted(cuts), len(sound)]):
        events += windower.push(sound[begin:end], start + begin * SECOND // RATE)
    return events + windower.flush()


def windows(events: Sequence[Event]) -> list[Window]:
    return [event for event in events if isinstance(event, Window)]


def content(events: Sequence[Event]) -> list[object]:
    return [
        (e.pts, e.start, e.end, e.mfcc.tobytes(), e.voiced, e.level, e.samples, e.envelope.tobytes())
        if isinstance(e, Window)
        else e
        for e in events
    ]


def test_one_event_for_each_hop_and_every_sample_accounted_for() -> None:
    events = feed(SOUND)
    assert [event.pts for event in events] == [HOP * (n + 1) for n in range(14)]
    assert sum(event.samples for event in events) == len(SOUND)
    assert {event.samples for event in events[:-1]} == {8000}


def test_windows_grow_from_the_utterance_start_and_never_reach_into_another() -> None:
    found = {window.pts / SECOND: (window.start / SECOND, window.end / SECOND) for window in windows(feed(SOUND))}
    assert found == {
        1.5: (0.8, 1.5),  # the onset less the pre-roll
        2.0: (0.8, 2.0),
        2.5: (0.8, 2.5),
        3.0: (0.8, 3.0),
        3.5: (0.8, 3.5),
        4.0: (1.0, 4.0),  # the hang-over reaches past 3.5; three seconds at most
        5.5: (4.9, 5.5),
        6.0: (4.9, 6.0),
        6.5: (4.9, 6.5),
    }


def test_a_window_holds_the_frames_of_its_span_bit_for_bit() -> None:
    whole = mfcc(SOUND)
    for window in windows(feed(SOUND)):
        first = window.start // (10 * MS)
        assert np.array_equal(window.mfcc, whole[first : first + len(window.mfcc)])
        assert len(window.mfcc) == (window.end - window.start) // (10 * MS) - 2


def test_a_window_holds_the_envelope_of_its_newest_hop() -> None:
    for window in windows(feed(SOUND)):
        first, last = max(window.start, window.pts - HOP), window.end
        samples = SOUND[first * RATE // SECOND : last * RATE // SECOND]
        assert np.array_equal(window.envelope, envelope(samples))


def test_the_last_partial_hop_is_flushed_at_its_point_with_its_true_end() -> None:
    events = feed(np.concatenate([silence(0.6), voice(0.65)]))
    assert isinstance(events[-1], Window)
    assert (events[-1].pts, events[-1].end) == (3 * HOP, 1250 * MS)
    assert events[-1].samples == 4000


def test_flushing_twice_or_nothing_gives_nothing() -> None:
    windower = SpeechWindower()
    assert windower.flush() == []
    assert len(feed(SOUND[:100], windower=windower)) == 1
    assert windower.flush() == []
    assert windower.push(SOUND[:0], 0) == []


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, len(SOUND)), max_size=40), start=st.integers(0, 2 * SECOND))
def test_the_chunks_do_not_matter(cuts: list[int], start: int) -> None:
    assert content(feed(SOUND, cuts, start)) == content(feed(SOUND, (), start))


@settings(max_examples=25, deadline=None)
@given(
    pieces=st.lists(
        st.tuples(st.booleans(), st.integers(1, 30_000), st.integers(-SECOND, 3 * SECOND)), min_size=1, max_size=6
    )
)
def test_whatever_the_pts_the_watermark_holds_and_every_sample_is_counted(pieces: list[tuple[bool, int, int]]) -> None:
    windower, end, given_samples, counted = SpeechWindower(), 0, 0, 0
    for speaks, size, off in pieces:
        sound = voice(2.0)[:size] if speaks else silence(2.0)[:size]
        promised = windower.watermark
        for event in windower.push(sound, max(0, end + off)):
            assert event.pts >= promised
            assert event.pts % HOP == 0
            promised = event.pts + event.duration
            counted += event.samples
        assert windower.watermark >= promised
        end = max(0, end + off) + size * SECOND // RATE
        given_samples += size
    counted += sum(event.samples for event in windower.flush())
    assert counted + windower.repeated == given_samples


def test_the_next_point_is_promised_at_once_in_speech_and_in_silence() -> None:
    windower = SpeechWindower()
    assert windower.watermark == HOP
    for number in range(10):
        assert windower.watermark == (number + 1) * HOP
        windower.push(SOUND[number * 8000 : (number + 1) * 8000], number * HOP)
    assert windower.watermark == 11 * HOP


def test_lost_sound_flushes_starts_over_and_is_counted() -> None:
    windower = SpeechWindower()
    speech = np.concatenate([silence(0.3), voice(1.0)])
    events = windower.push(speech, 0)
    events += windower.push(speech, 4 * SECOND + 100 * MS)  # 2.8 s are missing
    events += windower.flush()
    assert windower.lost == round(2.8 * RATE)
    spans = [(w.pts / SECOND, w.start / SECOND, w.end / SECOND) for w in windows(events)]
    assert spans == [
        (0.5, 0.1, 0.5),
        (1.0, 0.1, 1.0),
        (1.5, 0.1, 1.3),
        (4.5, 4.2, 4.5),
        (5.0, 4.2, 5.0),
        (5.5, 4.2, 5.4),
    ]
    assert Silence(4 * HOP, 5 * HOP, 0) in events
    assert sum(event.samples for event in events) == 2 * len(speech)


def test_a_loss_within_a_hop_gives_no_second_event_for_it() -> None:
    windower = SpeechWindower()
    events = windower.push(SOUND[8000:27200], 0) + windower.push(SOUND[28000:44000], 1250 * MS)
    assert [event.pts for event in events + windower.flush()] == [HOP, 2 * HOP, 3 * HOP, 4 * HOP, 5 * HOP]


def test_sound_that_came_before_is_dropped() -> None:
    windower = SpeechWindower()
    once = windower.push(SOUND[:16000], 0)
    assert windower.push(SOUND[:16000], 0) == []
    assert windower.repeated == 16000
    rest = windower.push(SOUND[12000:], 750 * MS) + windower.flush()
    assert windower.repeated == 20000
    assert content(once + rest) == content(feed(SOUND))


def test_times_rounded_to_milliseconds_lose_nothing() -> None:
    windower, events = SpeechWindower(), list[Event]()
    for begin in range(0, len(SOUND), 1001):
        events += windower.push(SOUND[begin : begin + 1001], round(begin / RATE * 1000) * MS)
    events += windower.flush()
    assert (windower.lost, windower.repeated) == (0, 0)
    assert content(events) == content(feed(SOUND))


def test_sound_that_begins_later_leaves_one_silence_before_it() -> None:
    events = feed(SOUND, start=90 * SECOND)
    assert events[0] == Silence(HOP, 90 * SECOND, 0)
    assert [w.pts - 90 * SECOND for w in windows(events)] == [w.pts for w in windows(feed(SOUND))]


def test_being_told_of_silence_ends_what_is_held() -> None:
    windower = SpeechWindower()
    windower.push(np.concatenate([silence(0.3), voice(0.4)]), 0)
    flushed, silent = windower.skip(2 * SECOND)
    assert isinstance(flushed, Window)
    assert (flushed.pts, flushed.end) == (2 * HOP, 700 * MS)
    assert silent == Silence(3 * HOP, 2 * HOP, 0)
    assert windower.watermark == 5 * HOP
    assert windower.skip(2 * SECOND) == []


def test_a_click_is_no_utterance() -> None:
    click = np.concatenate([silence(0.7), voice(0.02), silence(0.8)])
    assert not windows(feed(click, windower=SpeechWindower(min_speech=0.2)))
    assert windows(feed(click, windower=SpeechWindower(min_speech=0.01)))


def test_a_pause_shorter_than_the_hangover_does_not_end_an_utterance() -> None:
    paused = np.concatenate([silence(0.4), voice(1.0), silence(0.3), voice(1.2)])
    assert {w.start for w in windows(feed(paused, windower=SpeechWindower(hangover=0.5)))} == {200 * MS}
    starts = {w.start for w in windows(feed(paused, windower=SpeechWindower(hangover=0.1)))}
    assert starts == {200 * MS, 1600 * MS}  # the pre-roll stops where the first utterance ended


def test_voiced_fraction_and_level() -> None:
    loud = windows(feed(np.concatenate([silence(1.0), voice(2.0, level=0.4)])))[-1]
    quiet = windows(feed(np.concatenate([silence(1.0), voice(2.0, level=0.04)])))[-1]
    assert loud.voiced == pytest.approx(2.0 / 2.2, abs=0.02)
    assert loud.level - quiet.level == pytest.approx(20, abs=0.1)
    assert -60 < quiet.level < loud.level < 0


def test_hours_of_sound_take_no_more_memory_than_a_window() -> None:
    import tracemalloc

    windower, sound = SpeechWindower(), np.tile(voice(1.0), 60)
    windower.push(sound, 0)
    tracemalloc.start()
    windower.push(sound, 60 * SECOND)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 1_000_000
