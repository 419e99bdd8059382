"""A container's clock made continuous: what is believed, and what is repaired."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.pipeline.clock import MS
from emopipe.stages.media.timeline import Stamp, Timeline

MINUTE = 60_000


def place(
    packets: list[tuple[int, int | None]], *, restarts: bool = False, duration: int = 40, jumps: list[int] | None = None
) -> dict[int, list[int | None]]:
    """The continuous times (ms) of packets (stream, ms) given in the file's order, by stream; None where unknown."""
    streams = sorted({stream for stream, _ in packets})
    timeline = Timeline[int](
        streams, restarts=restarts, on_jump=lambda at, jump: (jumps if jumps is not None else []).append(jump // MS)
    )
    times: dict[int, list[int | None]] = {stream: [] for stream in streams}
    placed = []
    for number, (stream, time) in enumerate(packets):
        at = None if time is None else time * MS
        placed += timeline.admit(stream, number, Stamp(at, at, duration * MS))
    placed += timeline.finish()
    assert sorted(number for _, number, _ in placed) == list(range(len(packets)))
    for stream, number, offset in placed:
        owner, time = packets[number]
        assert owner == stream
        times[stream].append(None if offset is None or time is None else time + offset // MS)
        assert [n for s, n, _ in placed if s == stream] == [n for n, (s, _) in enumerate(packets) if s == stream]
    return times


def alone(*times: int | None, restarts: bool = False) -> list[int | None]:
    return place([(0, time) for time in times], restarts=restarts)[0]


@given(st.lists(st.tuples(st.integers(0, 1), st.none() | st.integers(-(2**40), 2**40)), max_size=50), st.booleans())
def test_each_packet_comes_out_once_and_in_the_order_of_its_stream(
    packets: list[tuple[int, int | None]], restarts: bool
) -> None:
    place(packets, restarts=restarts)


def test_small_steps_are_passed_on() -> None:
    assert alone(500, 540, None, 530, 580) == [500, 540, None, 530, 580]


def test_a_hole_is_believed() -> None:
    assert alone(0, 40, 30_000, 30_040) == [0, 40, 30_000, 30_040]
    assert alone(0, 40, 30_000, 30_040, restarts=True) == [0, 40, 30_000, 30_040]


def test_slow_frames_are_believed() -> None:
    assert alone(0, 5000, 10_000, 15_000) == [0, 5000, 10_000, 15_000]


def test_one_wrong_time_is_not() -> None:
    assert alone(0, 40, 7_000_000, 120, 160) == [0, 40, None, 120, 160]
    assert alone(90_000, 90_040, 3, 90_120, 90_160) == [90_000, 90_040, None, 90_120, 90_160]


def test_at_the_end_time_may_go_ahead_but_not_back() -> None:
    assert alone(0, 40, 60_000) == [0, 40, 60_000]
    assert alone(60_000, 60_040, 0) == [60_000, 60_040, None]


def test_a_new_start_goes_on() -> None:
    assert alone(5000, 5040, 0, 40, 80) == [5000, 5040, 5080, 5120, 5160]


def test_a_short_step_back_is_a_new_start_only_where_clocks_have_such() -> None:
    assert alone(0, 40, 80, 120, 160, 0, 40, restarts=False) == [0, 40, 80, 120, 160, 0, 40]
    assert alone(0, 40, 80, 120, 160, 0, 40, restarts=True) == [0, 40, 80, 120, 160, 200, 240]


def test_streams_stay_together_over_a_new_start() -> None:
    jumps: list[int] = []
    first = [(0, 5000), (1, 5010), (0, 5040), (1, 5050), (1, 5090)]
    # The end of the longer one is where the earlier one of what follows begins.
    second = [(0, 20), (0, 60), (1, 0), (1, 40)]
    assert place(first + second, jumps=jumps) == {0: [5000, 5040, 5150, 5190], 1: [5010, 5050, 5090, 5130, 5170]}
    assert jumps == [-5130]


def test_a_stream_that_is_not_there_is_not_waited_for() -> None:
    first = [(0, 5000), (1, 5000), (0, 5040)]
    second = [(0, number * 40) for number in range(60)]
    assert place(first + second)[0][2:5] == [5080, 5120, 5160]


@pytest.mark.slow("many examples")
def test_a_leap_of_the_clock_is_closed_only_where_clocks_have_such_and_in_all_streams() -> None:
    leap = [(0, 0), (1, 0), (0, 40), (1, 40), *((s, 3_600_000 + 40 * n) for n in range(2, 5) for s in (0, 1))]
    jumps: list[int] = []
    assert place(leap, restarts=True, jumps=jumps)[0] == [0, 40, 80, 120, 160]
    assert jumps == [3_600_000]
    assert place(leap)[0][2] == 3_600_080
    slow = [(0, 0), *((1, 40 * n) for n in range(5 * MINUTE // 40)), (0, 5 * MINUTE), (0, 5 * MINUTE + 40)]
    assert place(slow, restarts=True)[0] == [0, 5 * MINUTE, 5 * MINUTE + 40]
