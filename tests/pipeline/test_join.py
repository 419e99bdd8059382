"""The event-time join: one order whatever the timing, nothing lost, every wait bounded in live mode."""

from random import Random
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emopipe.pipeline.clock import MS
from emopipe.pipeline.join import Ended, EventTimeJoin, Released
from emopipe.pipeline.message import FOREVER

NAMES = ("speech", "faces", "hands")


class Push(NamedTuple):
    pts: int


class Promise(NamedTuple):
    watermark: int


Step = Push | Promise


def script_of(steps: list[tuple[int, int, bool]]) -> list[Step]:
    """One input's messages, honest about its watermark: (how far above it, how far it moves, push or promise)."""
    watermark = 0
    script: list[Step] = []
    for above, move, push in steps:
        if push:
            script.append(Push(watermark + above))  # out of order within its own watermark, as the contract allows
        else:
            watermark += move
            script.append(Promise(watermark))
    return script


scripts = st.lists(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 5), st.booleans()), max_size=12).map(script_of),
    min_size=1,
    max_size=3,
)


def merge(scripts: list[list[Step]], chance: Random) -> list[Released[str] | Ended]:
    """Play the scripts interleaved by chance, popping now and then."""
    join: EventTimeJoin[str] = EventTimeJoin(NAMES[: len(scripts)])
    places = [0] * len(scripts)
    released: list[Released[str] | Ended] = []

    def pop() -> None:
        promised = join.watermark
        events = join.pop()
        assert all(event.pts >= promised for event in events)
        assert join.watermark >= promised
        released.extend(events)

    while unfinished := [n for n, script in enumerate(scripts) if places[n] <= len(script)]:
        n = chance.choice(unfinished)
        if places[n] == len(scripts[n]):
            join.end(NAMES[n])
        else:
            step = scripts[n][places[n]]
            if isinstance(step, Push):
                assert join.push(NAMES[n], step.pts, f"{NAMES[n]} {places[n]}")
            else:
                join.advance(NAMES[n], step.watermark)
        places[n] += 1
        if chance.random() < 0.7:
            pop()
    pop()
    assert join.pending == 0
    assert join.watermark == FOREVER
    return released


@pytest.mark.slow("many examples")
@settings(max_examples=500, deadline=None)
@given(scripts, st.integers(0, 2**32))
def test_the_order_depends_on_nothing_but_the_items(scripts: list[list[Step]], seed: int) -> None:
    chance = Random(seed)
    once = merge(scripts, chance)
    for _ in range(9):
        assert merge(scripts, chance) == once


@pytest.mark.slow("many examples")
@settings(max_examples=500, deadline=None)
@given(scripts, st.integers(0, 2**32))
def test_every_item_comes_out_once_by_time_rank_and_arrival(scripts: list[list[Step]], seed: int) -> None:
    released = merge(scripts, Random(seed))
    expected = sorted(
        (step.pts, rank, place, f"{NAMES[rank]} {place}")
        for rank, script in enumerate(scripts)
        for place, step in enumerate(script)
        if isinstance(step, Push)
    )
    assert [event.item for event in released if isinstance(event, Released)] == [item for *_, item in expected]
    assert not any(event.forced for event in released if isinstance(event, Released))
    for rank in range(len(scripts)):
        own = [type(event) for event in released if event.input == NAMES[rank]]
        assert own.count(Ended) == 1
        assert own[-1] is Ended


def test_at_equal_pts_the_first_input_must_be_passed_and_the_second_only_reached() -> None:
    join: EventTimeJoin[str] = EventTimeJoin(("speech", "faces"))
    join.push("faces", 100, "face")
    join.push("speech", 100, "window")
    join.advance("faces", 100)
    join.advance("speech", 100)
    assert [event.item for event in join.pop() if isinstance(event, Released)] == ["window"]
    join.advance("speech", 101)
    assert [event.item for event in join.pop() if isinstance(event, Released)] == ["face"]


def test_an_end_comes_after_all_that_its_input_may_have_preceded() -> None:
    join: EventTimeJoin[str] = EventTimeJoin(("speech", "faces"))
    join.push("faces", 10, "face")
    join.advance("faces", 50)
    join.end("faces")
    join.push("speech", 40, "early")
    join.push("speech", 60, "late")
    join.advance("speech", 60)
    assert join.pop() == [
        Released("faces", 10, "face", False),
        Released("speech", 40, "early", False),
        Ended("faces", 50),
        Released("speech", 60, "late", False),
    ]


def test_an_ended_input_takes_nothing_more() -> None:
    join: EventTimeJoin[str] = EventTimeJoin(("speech", "faces"))
    join.end("faces")
    with pytest.raises(ValueError, match="'faces' has ended"):
        join.push("faces", 1, "face")
    assert join.ended == {"faces"}


def test_what_breaks_its_own_promise_is_refused_and_counted() -> None:
    join: EventTimeJoin[str] = EventTimeJoin(("speech",))
    join.advance("speech", 100)
    join.pop()
    assert not join.push("speech", 99, "window")
    assert join.push("speech", 100, "window")
    assert join.late == {"speech": 1}


BUDGET = 50 * MS
IDLE = 200 * MS


def test_past_its_budget_an_item_goes_out_with_all_that_precedes_it() -> None:
    join: EventTimeJoin[str] = EventTimeJoin(("speech", "faces"), budget=BUDGET)
    join.push("faces", 100, "a", now=0)
    join.advance("faces", 101, now=0)
    assert join.pop(now=0) == []
    assert join.next_deadline(now=0) == BUDGET
    join.push("speech", 90, "w", now=10 * MS)  # younger, but it precedes `a`, whose time runs out first
    assert join.pop(now=BUDGET - 1) == []
    assert join.pop(now=BUDGET) == [Released("speech", 90, "w", True), Released("faces", 100, "a", True)]
    assert join.watermark == 100


def test_what_arrives_behind_a_forced_item_is_late() -> None:
    join: EventTimeJoin[str] = EventTimeJoin(("speech", "faces"), budget=BUDGET)
    join.push("faces", 100, "a", now=0)
    join.pop(now=BUDGET)
    assert not join.push("speech", 100, "too late", now=BUDGET)
    assert join.push("faces", 100, "just in time", now=BUDGET)
    assert join.late == {"speech": 1}


def test_a_silent_input_is_not_waited_for_until_it_speaks_again() -> None:
    join: EventTimeJoin[str] = EventTimeJoin(("speech", "faces"), idle=IDLE, now=0)
    join.push("faces", 100, "a", now=IDLE - 1)
    join.advance("faces", 101, now=IDLE - 1)
    assert join.pop(now=IDLE - 1) == []
    assert join.next_deadline(now=IDLE - 1) == IDLE
    assert join.pop(now=IDLE) == [Released("faces", 100, "a", False)]
    assert join.silent("speech", now=IDLE)
    assert join.watermark == 101
    join.advance("speech", 150, now=IDLE)
    assert not join.silent("speech", now=IDLE)
    join.push("faces", 200, "b", now=IDLE)
    join.advance("faces", 201, now=IDLE)
    assert join.pop(now=IDLE) == []
    join.advance("speech", 201, now=IDLE)
    assert join.pop(now=IDLE) == [Released("faces", 200, "b", False)]


def test_where_all_are_silent_nobody_is_waited_for() -> None:
    join: EventTimeJoin[str] = EventTimeJoin(("speech", "faces"), idle=IDLE, now=0)
    join.push("faces", 100, "a", now=0)
    join.advance("faces", 101, now=0)
    assert join.pop(now=IDLE) == [Released("faces", 100, "a", False)]
    assert join.watermark == 101
    assert join.next_deadline(now=IDLE) is None


def test_a_budget_may_hold_for_one_input_only() -> None:
    join: EventTimeJoin[str] = EventTimeJoin(("speech", "faces"), budget={"faces": BUDGET})
    join.push("speech", 100, "w", now=0)
    join.advance("speech", 101, now=0)
    assert join.next_deadline(now=0) is None
    assert join.pop(now=10 * BUDGET) == []


@pytest.mark.slow("many examples")
@settings(max_examples=1000, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("sleep"), st.integers(0, 80), st.just(0)),
            st.tuples(st.sampled_from(["speech", "faces"]), st.integers(0, 6), st.integers(0, 3)),
        ),
        max_size=30,
    ),
    st.booleans(),
)
def test_live_waits_are_bounded_and_nothing_vanishes(steps: list[tuple[str, int, int]], stalled: bool) -> None:
    """Whatever stalls: an item is out within its budget, in order, and what is refused is counted."""
    clock = 0
    join: EventTimeJoin[int] = EventTimeJoin(("speech", "faces"), budget=BUDGET, idle=IDLE)
    watermarks = {"speech": 0, "faces": 0}
    arrived: list[int] = []
    taken: set[int] = set()
    out: list[tuple[int, int]] = []

    def pop() -> None:
        promised = join.watermark
        for event in join.pop(clock):
            assert isinstance(event, Released)
            assert event.pts >= promised
            assert clock - arrived[event.item] <= BUDGET
            out.append((event.pts, event.item))
        assert join.watermark >= promised

    def sleep(ns: int) -> None:
        nonlocal clock
        until = clock + ns
        while (deadline := join.next_deadline(clock)) is not None and deadline <= until:
            clock = deadline
            pop()
        clock = until

    for kind, a, b in steps:
        if kind == "sleep":
            sleep(a * MS)
        elif not (stalled and kind == "speech"):
            arrived.append(clock)
            if join.push(kind, watermarks[kind] + b, len(arrived) - 1, clock):
                taken.add(len(arrived) - 1)
            watermarks[kind] += a
            join.advance(kind, watermarks[kind], clock)
        pop()
    sleep(BUDGET)
    assert join.pending == 0
    assert {item for _, item in out} == taken
    assert len(out) == len(taken)
    assert [pts for pts, _ in out] == sorted(pts for pts, _ in out)
    assert join.late.total() == len(arrived) - len(taken)


def test_an_input_that_is_back_is_waited_for_again_and_its_end_is_forgotten() -> None:
    join = EventTimeJoin[str](["a", "b"])
    join.push("a", 10, "a10")
    join.advance("a", 11)
    join.end("b")
    assert [event.input for event in join.pop()] == ["b", "a"]
    join.end("a")
    join.reopen("a")
    assert join.pop() == []
    assert not join.push("a", 5, "late")
    join.push("a", 20, "a20")
    join.advance("a", 21)
    assert [event.item for event in join.pop() if isinstance(event, Released)] == ["a20"]
    assert join.late == {"a": 1}
