"""Sound of a live source, put onto the clock: drift, jitter, holes, and what came twice."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emopipe.pipeline.clock import MS, SECOND
from emopipe.stages.media.audio import SAMPLE_NS, SAMPLE_RATE_HZ
from emopipe.stages.media.clocked_audio import AudioSpan, DriftCompensatedAudio

pytestmark = pytest.mark.slow("simulates half an hour of sound")

FRAME = 320  # samples, 20 ms
CLICKS = 0.25  # s between two clicks


class Arrival(NamedTuple):
    """Samples `number * FRAME …` of the source, whose first was heard at `true` and is said to have been at `at`."""

    number: int
    true: int
    at: int


def arrivals(
    seconds: float, *, ppm: float = 0.0, jitter: int = 0, start: int = SECOND, frame: int = FRAME
) -> list[Arrival]:
    random = np.random.default_rng(3)
    true = [
        start + round(n * frame * SAMPLE_NS * (1 + ppm / 1e6)) for n in range(round(seconds * SAMPLE_RATE_HZ / frame))
    ]
    return [Arrival(n, at, at + int(random.integers(-jitter, jitter + 1))) for n, at in enumerate(true)]


def clicking(number: int, frame: int = FRAME) -> NDArray[np.int16]:
    """The source's samples: a click at every quarter of a second of its own time, silence between."""
    index = np.arange(number * frame, (number + 1) * frame)
    return np.where(index % round(CLICKS * SAMPLE_RATE_HZ) == 0, 30_000, 0).astype(np.int16)


def sound(samples: NDArray[np.int16]) -> av.AudioFrame:
    frame = av.AudioFrame.from_ndarray(samples[None], "s16", "mono")
    frame.sample_rate = SAMPLE_RATE_HZ
    return frame


def play(steady: DriftCompensatedAudio, coming: Sequence[Arrival], frame: int = FRAME) -> Iterator[AudioSpan]:
    for each in coming:
        yield from steady.push(sound(clicking(each.number, frame)), each.at)


def heard(pieces: Sequence[AudioSpan]) -> list[int]:
    """When the clicks were (ns)."""
    times: list[int] = []
    for pts, _, samples in pieces:
        if samples is None:
            continue
        for index in np.flatnonzero(samples > 0.4):  # between two samples a click is at least 0.58 high on both
            if not times or pts + index * SAMPLE_NS - times[-1] > 10 * MS:
                times.append(pts + int(index) * SAMPLE_NS)
    return times


def clicked(coming: Sequence[Arrival], ppm: float = 0.0, frame: int = FRAME) -> list[int]:
    """When they truly were."""
    times = []
    for each in coming:
        for index in np.flatnonzero(clicking(each.number, frame)):
            times.append(each.true + round(index * SAMPLE_NS * (1 + ppm / 1e6)))
    return times


def check(pieces: Sequence[AudioSpan], block: int = 1024) -> None:
    """What holds for any pieces: they follow each other without overlapping and without unsaid holes."""
    for before, after in pairwise(pieces):
        assert after.pts == before.pts + before.duration
        assert before.duration > 0
    for pts, duration, samples in pieces:
        assert pts >= 0
        if samples is not None:
            assert samples.dtype == np.float32
            assert duration == len(samples) * SAMPLE_NS <= block * SAMPLE_NS


def gaps(pieces: Sequence[AudioSpan]) -> list[AudioSpan]:
    return [piece for piece in pieces if piece.samples is None]


@pytest.mark.parametrize(("ppm", "seconds"), [(300, 1800), (-300, 200)])
def test_a_clock_of_its_own_and_jitter(ppm: float, seconds: float) -> None:
    frame = 1024
    coming = arrivals(seconds, ppm=ppm, jitter=30 * MS, frame=frame)
    steady = DriftCompensatedAudio()
    pieces = list(play(steady, coming, frame))
    check(pieces)
    assert not gaps(pieces)
    true, found = np.array(clicked(coming, ppm, frame)), np.array(heard(pieces))
    assert len(found) >= len(true) - 1
    settled = true[: len(found)] > 20 * SECOND
    assert np.abs(found - true[: len(found)])[settled].max() < 10 * MS
    assert steady.drift_ppm == pytest.approx(ppm, abs=8 if seconds == 1800 else 30)
    assert steady.counters["overlapping"] == steady.counters["gaps"] == 0


def test_exact_times_give_back_the_samples() -> None:
    noise = np.random.default_rng(0).integers(-20_000, 20_000, SAMPLE_RATE_HZ).astype(np.int16)
    steady = DriftCompensatedAudio()
    pieces = [
        piece
        for number in range(50)
        for piece in steady.push(sound(noise[number * 320 : (number + 1) * 320]), number * 20 * MS)
    ]
    pieces += steady.restart()
    check(pieces)
    samples = np.concatenate([piece.samples for piece in pieces if piece.samples is not None])
    assert pieces[0].pts == 0
    assert len(samples) == SAMPLE_RATE_HZ
    assert np.abs(samples - noise / np.float32(32768)).max() < 1e-3


@pytest.mark.parametrize("jitter", [0, 20 * MS])
def test_lost_sound_is_a_gap(jitter: int) -> None:
    """400 ms are lost in the middle, without the device saying so."""
    whole = arrivals(20, jitter=jitter)
    coming = [each for each in whole if not 10 * SECOND <= each.true - SECOND < 10_400 * MS]
    steady = DriftCompensatedAudio()
    pieces = list(play(steady, coming))
    check(pieces)
    [gap] = gaps(pieces)
    assert gap.duration == pytest.approx(400 * MS, abs=25 * MS)
    assert gap.pts == pytest.approx(11 * SECOND, abs=25 * MS)
    true, found = clicked(coming), heard(pieces)
    assert np.abs(np.array(found) - np.array(true[: len(found)])).max() < 25 * MS
    assert len(found) >= len(true) - 1
    assert steady.counters["gaps"] == 1


def test_sound_that_came_twice_is_left_out() -> None:
    """The source goes 300 ms back and says so by its times."""
    whole = arrivals(12)
    coming = [*whole[:300], *whole[285:]]
    steady = DriftCompensatedAudio()
    pieces = list(play(steady, coming))
    check(pieces)
    assert not gaps(pieces)
    assert steady.counters["overlapping"] == pytest.approx(15 * FRAME, abs=FRAME)
    true, found = clicked(whole), heard(pieces)
    assert np.abs(np.array(found) - np.array(true[: len(found)])).max() < 10 * MS


@pytest.mark.parametrize("late", [0.15, 0.4, 1.0])
@pytest.mark.parametrize("pace", [0.0, 0.5])
def test_sound_that_was_only_late_is_not_lost(late: float, pace: float) -> None:
    """Somebody kept us from reading for a while; then what had been kept came, at once or twice as fast as heard."""
    busy, resumed = round(5 * SECOND), round((5 + late) * SECOND)
    coming = [
        each._replace(at=max(each.at, round(resumed + pace * (each.at - busy)))) if each.at >= busy else each
        for each in arrivals(12)
    ]
    steady = DriftCompensatedAudio()
    pieces = list(play(steady, coming))
    check(pieces)
    assert not gaps(pieces)
    assert steady.counters["overlapping"] == 0
    true, found = clicked(coming), heard(pieces)
    assert np.abs(np.array(found) - np.array(true[: len(found)])).max() < 15 * MS


def test_what_is_held_back_is_bounded() -> None:
    """Times that make no sense at all hold sound back for 2 s at most."""
    random = np.random.default_rng(5)
    steady = DriftCompensatedAudio()
    given_ = 0
    for number in range(1500):
        at = number * 20 * MS + int(random.integers(-5 * SECOND, 5 * SECOND))
        pieces = list(steady.push(sound(clicking(number)), at))
        check(pieces)
        given_ += sum(len(piece.samples) for piece in pieces if piece.samples is not None)
        kept = (number + 1) * FRAME - given_ - steady.counters["overlapping"]
        assert kept < 2.2 * SAMPLE_RATE_HZ


def test_another_device_after_a_break() -> None:
    first, second = arrivals(3, ppm=200), arrivals(3, start=9 * SECOND, ppm=-100)
    steady = DriftCompensatedAudio()
    pieces = [*play(steady, first), *steady.restart()]
    assert pieces[-1].pts + pieces[-1].duration == pytest.approx(4 * SECOND, abs=2 * MS)  # nothing is held back
    pieces += [*play(steady, second), *steady.restart()]
    check(pieces)
    [gap] = gaps(pieces)
    assert gap.pts + gap.duration == 9 * SECOND
    assert np.abs(np.array(heard(pieces)) - np.array(clicked([*first, *second]))).max() < 3 * MS


def test_another_device_that_begins_before_the_first_one_ended() -> None:
    steady = DriftCompensatedAudio()
    pieces = [*play(steady, arrivals(3)), *steady.restart(), *play(steady, arrivals(3, start=3500 * MS))]
    check([*pieces, *steady.restart()])
    assert not gaps(pieces)
    assert steady.counters["overlapping"] == SAMPLE_RATE_HZ // 2


@given(
    st.lists(
        st.tuples(
            st.integers(-2_000, 2_000), st.sampled_from([160, 441, 1024]), st.sampled_from([8000, 16_000, 48_000])
        ),
        max_size=60,
    ),
    st.sampled_from([0.01, 0.064]),
)
def test_whatever_comes_the_pieces_follow_each_other(steps: list[tuple[int, int, int]], block: float) -> None:
    steady = DriftCompensatedAudio(block)
    at, pieces = 0, list[AudioSpan]()
    for step, samples, rate in steps:
        frame = sound(np.zeros(samples, np.int16))
        frame.sample_rate = rate
        at += samples * SECOND // rate + (step * MS if abs(step) > 1000 else 0)
        pieces += steady.push(frame, at)
    check([*pieces, *steady.restart()], round(block * SAMPLE_RATE_HZ))


def test_a_frame_that_cannot_be_converted_is_left_out() -> None:
    steady = DriftCompensatedAudio()
    odd = sound(clicking(3))
    odd.sample_rate = 0
    pieces = [*play(steady, arrivals(1)[:20]), *steady.push(odd, 1400 * MS), *play(steady, arrivals(2)[21:])]
    check([*pieces, *steady.restart()])
    assert steady.counters["damaged"] == 1


def test_nothing_gives_nothing() -> None:
    assert list(DriftCompensatedAudio().restart()) == []
