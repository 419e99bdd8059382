"""What is done when a live input is lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.pipeline.clock import SECOND
from emopipe.stages.capture.reconnect import FIRST_PAUSE_NS, STABLE_AFTER_NS, Reconnection


def pauses(state: Reconnection, at: int, attempts: int) -> list[float]:
    """Lose it at `at`, let so many attempts fail, and return how long was waited before each (s)."""
    state.lost(at)
    waited = []
    for _ in range(attempts):
        waited.append((state.due - at) / SECOND)
        at = state.due
        state.connect()
        state.failed(at)
    return waited


def test_pauses_grow_up_to_the_longest() -> None:
    assert pauses(Reconnection(5.0, now=0), 60 * SECOND, 6) == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]


def test_back_again() -> None:
    state = Reconnection(5.0, now=0)
    state.lost(60 * SECOND)
    assert (state.state, state.lost_at, state.due) == ("waiting", 60 * SECOND, 60 * SECOND + FIRST_PAUSE_NS)
    state.connect()
    assert state.state == "connecting"
    state.opened(61 * SECOND)
    assert state.state == "playing"


def test_without_reconnecting_it_is_over() -> None:
    state = Reconnection(0.0, now=0)
    state.lost(SECOND)
    assert state.state == "over"


def test_what_comes_and_goes_is_tried_ever_more_seldom_and_what_was_stable_at_once() -> None:
    state = Reconnection(60.0, now=0)
    at, waited = 100 * SECOND, []
    for _ in range(4):  # plays for a second each time
        state.lost(at)
        waited.append((state.due - at) / SECOND)
        state.connect()
        state.opened(state.due)
        at = state.due + SECOND
    assert waited == [0.5, 1.0, 2.0, 4.0]
    state.lost(at + STABLE_AFTER_NS)
    assert state.due == at + STABLE_AFTER_NS + FIRST_PAUSE_NS


def test_a_step_that_cannot_come_now_is_a_mistake() -> None:
    state = Reconnection(5.0, now=0)
    for step in (state.connect, lambda: state.failed(0), lambda: state.opened(0)):
        with pytest.raises(RuntimeError, match="it is playing"):
            step()
    state.lost(0)
    with pytest.raises(RuntimeError, match="expected to be playing, but it is waiting"):
        state.lost(1)


@given(st.floats(0.001, 1000), st.lists(st.tuples(st.booleans(), st.integers(0, 100)), max_size=40))
def test_a_pause_is_never_longer_than_the_longest_nor_none_at_all(
    longest: float, steps: list[tuple[bool, int]]
) -> None:
    state, now = Reconnection(longest, now=0), 0
    state.lost(now)
    for works, played in steps:
        assert 0 < state.due - now <= round(longest * SECOND)
        now = state.due
        state.connect()
        if works:
            state.opened(now)
            now += played * SECOND
            state.lost(now)
        else:
            state.failed(now)
