"""When something live was seen or heard."""

import numpy as np
import pytest

from emopipe.pipeline.clock import MS, SECOND
from emopipe.stages.capture.timestamps import ArrivalTimes, captured

HOUR = 3600 * SECOND


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        (5 * HOUR - 30 * MS, 5 * HOUR - 30 * MS),  # a driver that stamps by the monotonic clock
        (500_000 * HOUR + 5 * HOUR - 80 * MS, 5 * HOUR - 80 * MS),  # by the wall clock
        (12 * SECOND, 5 * HOUR - 33 * MS),  # counts from 0
        (None, 5 * HOUR - 33 * MS),
    ],
)
def test_a_devices_own_time_is_taken_where_it_is_one(time: int | None, expected: int) -> None:
    assert captured(time, 33 * MS, arrived=5 * HOUR, wall=500_000 * HOUR) == expected


def test_what_is_pushed_is_as_old_as_its_promptest_frame() -> None:
    """Jitter of 0 to 200 ms over a way of 50: after a moment the times are those of the promptest frames."""
    random = np.random.default_rng(1)
    times = ArrivalTimes(pushed=True)
    off = []
    for number in range(3000):
        sent = number * 33 * MS
        arrived = HOUR + sent + 50 * MS + int(random.integers(0, 200)) * MS
        at, cut = times.at(sent, arrived)
        assert at <= arrived
        assert not cut
        off.append(at - HOUR - sent - 50 * MS)
    assert max(map(abs, off[300:])) < 10 * MS


@pytest.mark.parametrize("ppm", [-200, 200])
def test_the_senders_clock_is_followed(ppm: int) -> None:
    times = ArrivalTimes(pushed=True)
    for number in range(60_000):  # 33 minutes, in which the clocks part by 400 ms
        true = number * 33 * MS
        at, _ = times.at(round(true * (1 + ppm / 1e6)), true)
        assert abs(at - true) < 5 * MS


def test_a_burst_at_the_beginning_is_not_waited_for() -> None:
    """A server sends the last 2 s at once, then as it goes."""
    times = ArrivalTimes(pushed=True)
    for number in range(60):
        times.at(number * 33 * MS, HOUR)
    at, _ = times.at(60 * 33 * MS, HOUR + 33 * MS)
    assert at == pytest.approx(HOUR + 33 * MS, abs=MS)


def test_what_is_fetched_in_bursts_keeps_its_own_pace() -> None:
    """Segments of 6 s: each comes at once, and is due frame by frame."""
    times = ArrivalTimes(pushed=False)
    for number in range(600):
        time = number * 40 * MS
        at, cut = times.at(time, HOUR + time // (6 * SECOND) * 6 * SECOND)
        assert (at, cut) == (HOUR + time, False)


@pytest.mark.parametrize("pushed", [True, False])
@pytest.mark.parametrize("jump", [-500 * SECOND, -2 * SECOND, 11 * SECOND, HOUR])
def test_times_that_jump_begin_anew_when_they_come(pushed: bool, jump: int) -> None:
    times = ArrivalTimes(pushed)
    for number in range(100):
        assert not times.at(600 * SECOND + number * 33 * MS, HOUR + number * 33 * MS)[1]
    later = HOUR + 100 * 33 * MS
    assert times.at(603 * SECOND + jump, later) == (later, True)
    assert times.at(603 * SECOND + jump + 33 * MS, later + 33 * MS) == (later + 33 * MS, False)


def test_pictures_that_come_out_of_order_are_no_jump() -> None:
    times = ArrivalTimes(pushed=True)
    for number, time in enumerate([0, 120, 40, 80, 240, 160, 200]):
        assert not times.at(time * MS, HOUR + number * 40 * MS)[1]


def test_a_sender_that_paused_goes_on_from_now() -> None:
    times = ArrivalTimes(pushed=True)
    times.at(0, HOUR)
    late = [times.at(number * 33 * MS, HOUR + 5 * SECOND + number * 33 * MS) for number in range(1, 150)]
    assert not any(cut for _, cut in late)
    last = 149 * 33 * MS
    assert late[0][0] < HOUR + SECOND
    assert late[-1][0] == pytest.approx(HOUR + 5 * SECOND + last, abs=10 * MS)


def test_a_connection_that_stalls_and_catches_up_keeps_its_times() -> None:
    times = ArrivalTimes(pushed=True)
    times.at(0, HOUR)
    for number in range(1, 200):
        at, _ = times.at(number * 33 * MS, HOUR + max(number * 33 * MS, 5 * SECOND))
        assert at == pytest.approx(HOUR + number * 33 * MS, abs=10 * MS)


def test_another_connection_begins_when_it_comes() -> None:
    times = ArrivalTimes(pushed=False)
    times.at(0, HOUR)
    times.restart()
    assert times.at(77 * SECOND, 2 * HOUR) == (2 * HOUR, False)
