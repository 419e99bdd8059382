"""emopipe.pipeline.runtime.link: the policies and the counts."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.pipeline.clock import MS, FakeClock
from emopipe.pipeline.counters import REMEMBERED, LinkCounts
from emopipe.pipeline.message import FOREVER, Message
from emopipe.pipeline.port import Policy, Port, Queue
from emopipe.pipeline.runtime.link import LinkQueue
from emopipe.pipeline.testing import eos, watermark
from tests.support.payloads import Other, item


def fill(policy: Any, size: int, pts: list[int], max_age: float | None = None) -> tuple[LinkQueue, FakeClock]:
    clock = FakeClock()
    queue = LinkQueue(Queue(policy=policy, size=size, max_age=max_age), clock)
    for each in pts:
        queue.offer(item(each))
    return queue, clock


def drain(queue: LinkQueue) -> list[Message]:
    taken: list[Message] = []
    while (message := queue.take()) is not None:
        taken.append(message)
        queue.acknowledge(len(taken))
    return taken


def test_drop_oldest_keeps_the_newest() -> None:
    queue, _ = fill("drop-oldest", 2, [1, 2, 3, 4, 5])
    assert [message.pts for message in drain(queue)] == [4, 5]
    assert queue.counts().dropped == {"oldest": 3}


def test_drop_newest_keeps_the_oldest_and_lets_time_pass() -> None:
    queue, _ = fill("drop-newest", 2, [1, 2, 3, 4])
    taken = drain(queue)
    assert [(m.kind, m.watermark) for m in taken] == [("data", 2), ("data", 3), ("watermark", 5)]
    assert queue.counts().dropped == {"newest": 2}


def test_what_waited_too_long_is_dropped() -> None:
    queue, clock = fill("drop-oldest", 9, [1, 2], max_age=0.1)
    clock._now += 101 * MS
    queue.offer(item(3))
    assert [message.pts for message in drain(queue)] == [3]
    assert queue.counts().dropped == {"age": 2}


def test_the_last_message_of_a_stream_leaves_its_watermark() -> None:
    queue, _ = fill("drop-oldest", 1, [7])
    queue.offer(item(8))
    queue.offer(eos("a"))
    assert [(m.kind, m.watermark) for m in drain(queue)] == [("data", 9), ("eos", FOREVER)]
    queue, clock = fill("drop-oldest", 1, [7], max_age=0.1)
    clock._now += 101 * MS
    assert [(m.kind, m.watermark) for m in drain(queue)] == [("watermark", 8)]


def test_blocking_is_full_at_its_size_and_eos_still_passes() -> None:
    queue, _ = fill("block", 2, [1, 2])
    assert queue.full
    queue.offer(Message(kind="eos", stream="", watermark=FOREVER))
    assert [message.kind for message in drain(queue)] == ["data", "data", "eos"]


def test_waiting_watermarks_are_replaced() -> None:
    queue, _ = fill("block", 1, [1])
    for bound in range(5, 100):
        queue.offer(watermark(bound, stream="a"))
        queue.offer(watermark(bound, stream="b"))
    assert [(m.stream, m.watermark) for m in drain(queue)] == [("a", 2), ("a", 99), ("b", 99)]


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
def test_a_dropping_link_has_one_message_under_way(policy: str) -> None:
    queue, _ = fill(policy, 3, [1, 2, 3])
    assert queue.take() is not None
    assert queue.take() is None


def test_replay_always_blocks() -> None:
    port = Port(Other, "things", policy="drop-oldest", size=3)
    assert Queue.of(port, "live") == Queue(policy="drop-oldest", size=3)
    assert Queue.of(port, "replay") == Queue(policy="block", size=16)
    assert Queue.of(port, "replay", Queue(policy="drop-newest", size=5, max_age=1.0)) == Queue(size=5)


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
@given(rates=st.lists(st.integers(1, 20), min_size=2, max_size=5), rounds=st.integers(1, 30))
def test_streams_get_even_shares_whatever_their_rates(policy: str, rates: list[int], rounds: int) -> None:
    """Each round every stream offers as many as its rate, and the receiver takes one for each stream."""
    queue = LinkQueue(Queue(policy=policy, size=2), FakeClock())  # type: ignore[arg-type]
    taken: list[str] = []
    for at in range(rounds):
        for stream, rate in enumerate(rates):
            for each in range(rate):
                queue.offer(item(100 * at + each, str(stream)))
        for _ in rates:
            message = queue.take()
            assert message is not None
            taken.append(message.stream)
            queue.acknowledge(len(taken))
    assert {taken.count(str(stream)) for stream in range(len(rates))} == {rounds}


def test_a_stream_at_ten_times_the_rate_leaves_the_slow_ones_messages_alone() -> None:
    queue = LinkQueue(Queue(policy="drop-oldest", size=2), FakeClock())
    taken = []
    for pts in range(100):
        queue.offer(item(pts, "fast"))
        if pts % 10 == 0:
            queue.offer(item(pts, "slow"))
        if pts % 5 == 0 and (message := queue.take()):
            taken.append(message)
            queue.acknowledge(len(taken))
    counts = queue.counts().streams
    assert counts["slow"].dropped == {}
    assert counts["slow"].received + counts["slow"].in_flight == 10
    assert counts["fast"].dropped["oldest"] > 80


def test_the_end_of_everything_comes_last() -> None:
    queue, _ = fill("drop-oldest", 2, [1])
    queue.offer(eos("a"))
    queue.offer(eos(""))
    queue.offer(item(2, "b"))
    queue.offer(eos("b"))
    assert [(m.kind, m.stream) for m in drain(queue)] == [
        ("data", "a"),
        ("data", "b"),
        ("eos", "a"),
        ("eos", "b"),
        ("eos", ""),
    ]


def test_only_what_is_under_way_can_be_acknowledged() -> None:
    queue, _ = fill("block", 3, [1, 2, 3])
    assert queue.take() is not None
    assert queue.take() is not None
    assert [queue.acknowledge(total) for total in (0, 3, 2**63, 1, 1, 2)] == [False, False, False, True, False, True]
    assert queue.counts().received == 2


def test_room_is_a_streams_own_where_messages_may_be_dropped() -> None:
    queue, _ = fill("drop-oldest", 1, [1])
    assert not queue.has_room("a")
    assert queue.has_room("b")
    assert not queue.full
    queue, _ = fill("block", 1, [1])
    assert not queue.has_room("b")


def test_streams_that_have_gone_leave_nothing_but_the_last_few_counts() -> None:
    queue = LinkQueue(Queue(policy="drop-oldest", size=1), FakeClock())
    for number in range(1000):
        queue.offer(item(1, f"s{number}"))
        queue.offer(eos(f"s{number}"))
        queue.offer(watermark(1, stream=f"s{number}"))
        queue.offer(eos(f"s{number}"))
    total = 0
    while queue.take() is not None:
        total += 1
        queue.acknowledge(total)
    counts = queue.counts()
    assert (counts.sent, counts.received) == (1000, 1000)
    assert list(counts.streams) == [f"s{number}" for number in range(1000 - REMEMBERED, 1000)]
    assert counts.others == LinkCounts(sent=1000 - REMEMBERED, received=1000 - REMEMBERED)
    assert queue.empty


@pytest.mark.parametrize("policy", ["drop-oldest", "drop-newest"])
def test_of_thousands_of_streams_every_message_is_accounted_for_by_its_reason(policy: Policy) -> None:
    """By name the last few are; what is not known by name any more is in the sum of the others."""
    clock = FakeClock()
    queue = LinkQueue(Queue(policy=policy, size=2, max_age=0.01), clock)
    taken = 0
    for number in range(3000):
        for pts in range(4):
            queue.offer(item(pts, f"s{number}"))
        queue.offer(eos(f"s{number}"))
        clock._now += (number % 3) * 6 * MS
        while queue.take() is not None:
            taken += 1
            queue.acknowledge(taken)
    counts = queue.counts()
    assert counts.others is not None
    assert len(counts.streams) == REMEMBERED
    parts = [*counts.streams.values(), counts.others]
    assert [each.unaccounted for each in (counts, *parts)] == [0] * (REMEMBERED + 2)
    assert counts.sent == sum(each.sent for each in parts) == 12_000
    assert counts.received == sum(each.received for each in parts)
    assert counts.dropped == {policy.removeprefix("drop-"): 6000, "age": 2000}
    for reason, count in counts.dropped.items():
        assert sum(each.dropped.get(reason, 0) for each in parts) == count


@pytest.mark.parametrize("policy", ["block", "drop-oldest"])
def test_a_receiver_that_is_gone_loses_data_and_never_the_end_of_a_stream(policy: Policy) -> None:
    queue = LinkQueue(Queue(policy=policy, size=4), FakeClock())
    for message in (item(1), eos("a"), item(1, "b"), item(2, "b"), eos("")):
        queue.offer(message)
    queue.take()
    queue.lose("restart")
    counts = queue.counts()
    assert (counts.sent, counts.received, counts.dropped, counts.in_flight) == (3, 0, {"restart": 3}, 0)
    queue.refuse(item(3, "b"), "restart")
    assert queue.counts().dropped == {"restart": 4}
    taken = []
    while (message := queue.take()) is not None:
        taken.append((message.kind, message.stream))
        assert queue.acknowledge(len(taken))  # the next receiver counts from its own begin
    assert taken == [("eos", "a"), ("eos", "")]
    assert queue.empty


def test_a_sender_that_is_restarted_counts_on() -> None:
    queue = LinkQueue(Queue(), FakeClock())
    queue.begin_at(7)
    queue.offer(item(1))
    queue.take()
    queue.acknowledge(1)
    counts = queue.counts()
    assert (counts.sent, counts.received, counts.in_flight) == (8, 8, 0)
    assert counts.others is not None
    assert counts.others.sent == 7
