"""Container time → running time: what is believed, and what is repaired."""

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from emopipe.pipeline.clock import MS, SECOND
from emopipe.stages.media.timeline import Timeline, Times

BASE = Fraction(1, 1000)


def place(times: Times[int], stamps: list[int | None], duration: int = 40) -> list[int | None]:
    """The running time (ms) of frames with these stamps (ms), as a track would use them."""
    placed: list[int | None] = []

    def take(known: list[tuple[int, int | None]]) -> None:
        for number, at in known:
            assert number == len(placed)
            placed.append(None if at is None else at // MS)
            times.end = max(times.end, (times.end if at is None else at) + duration * MS)

    for number, stamp in enumerate(stamps):
        take(times.admit(number, stamp))
    take(times.rest())
    return placed


def alone(origin: int = 0) -> Times[int]:
    return Times(Timeline(origin * MS), BASE)


@given(st.lists(st.none() | st.integers(-(2**40), 2**40), max_size=50))
def test_each_frame_comes_out_once_and_in_order(stamps: list[int | None]) -> None:
    assert len(place(alone(), stamps)) == len(stamps)


def test_the_origin_is_taken_off() -> None:
    assert place(alone(origin=500), [500, 540, None, 620]) == [0, 40, None, 120]


def test_small_steps_are_passed_on() -> None:
    assert place(alone(), [0, 40, 30, 80]) == [0, 40, 30, 80]


def test_a_hole_is_believed() -> None:
    assert place(alone(), [0, 40, 60_000, 60_040]) == [0, 40, 60_000, 60_040]


def test_slow_pictures_are_believed() -> None:
    assert place(alone(), [0, 5000, 10_000, 15_000]) == [0, 5000, 10_000, 15_000]


def test_one_wrong_time_is_not() -> None:
    assert place(alone(), [0, 40, 7_000_000, 120, 160]) == [0, 40, None, 120, 160]
    assert place(alone(), [90_000, 90_040, 3, 90_120, 90_160]) == [90_000, 90_040, None, 90_120, 90_160]


def test_at_the_end_time_may_go_ahead_but_not_back() -> None:
    assert place(alone(), [0, 40, 60_000]) == [0, 40, 60_000]
    assert place(alone(), [60_000, 60_040, 0]) == [60_000, 60_040, None]


def test_a_new_start_goes_on() -> None:
    assert place(alone(), [5000, 5040, 0, 40, 80]) == [5000, 5040, 5080, 5120, 5160]


def test_streams_stay_together_over_new_starts() -> None:
    line = Timeline()
    pictures, sound = Times[int](line, BASE), Times[int](line, BASE)
    assert place(pictures, [5000, 5040, 10, 50, 6000, 6040, 10, 50])[2:4] == [5080, 5120]
    # Its own end is at 5,020 when it starts anew, but 0 of the new clock is where the pictures have it.
    assert place(sound, [4960, 4980, 0, 20], duration=20)[2:] == [5070, 5090]


def test_what_is_held_back_bounds_promises() -> None:
    times = alone()
    times.admit(0, 0)
    assert times.bound is None
    times.admit(1, 8000)
    assert times.bound == 8 * SECOND
    times.admit(2, 8040)
    assert times.bound is None


def test_near_is_never_absurd() -> None:
    times = alone()
    place(times, [0, 40])
    assert times.near(60) == 60 * MS
    assert times.near(None) == times.near(10**9) == 80 * MS
