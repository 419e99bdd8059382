"""emopipe.pipeline.runtime.link: the policies and the counts, for any order of sends, takes and acknowledgements."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from emopipe.pipeline.clock import MS, FakeClock
from emopipe.pipeline.counters import REMEMBERED, LinkCounts
from emopipe.pipeline.message import FOREVER, Message
from emopipe.pipeline.port import Policy, Port, Queue
from emopipe.pipeline.runtime.link import LinkQueue
from emopipe.pipeline.testing import data, eos, gap, watermark
from tests.support.payloads import Other


def item(pts: int, stream: str = "a") -> Message:
    return data(Other(x=pts), pts, stream=stream)


def is_item(message: Message) -> bool:
    return message.kind in ("data", "gap")


class Links(RuleBasedStateMachine):
    """Any sender against any receiver: what every link promises must hold after every step."""

    @initialize(
        policy=st.sampled_from(["block", "drop-oldest", "drop-newest"]),
        size=st.integers(1, 4),
        max_age=st.sampled_from([None, 0.005]),
    )
    def begin(self, policy: Any, size: int, max_age: float | None) -> None:
        self.clock = FakeClock()
        self.policy = Queue(policy=policy, size=size, max_age=None if policy == "block" else max_age)
        self.queue = LinkQueue(self.policy, self.clock)
        self.offered: list[Message] = []
        self.taken: list[Message] = []
        self.pts = {"a": 0, "b": 0}
        self.acknowledged = 0

    @precondition(lambda self: not self.queue.full)
    @rule(stream=st.sampled_from("ab"), kind=st.sampled_from(["data", "data", "gap", "watermark", "eos"]))
    def send(self, stream: str, kind: str) -> None:
        self.pts[stream] += 1
        pts = self.pts[stream]
        message = {
            "data": item(pts, stream),
            "gap": gap(pts, 1, stream=stream),
            "watermark": watermark(pts, stream=stream),
            "eos": eos(stream),
        }[kind]
        self.offered.append(message)
        self.queue.offer(message)

    @rule()
    def take(self) -> None:
        if (message := self.queue.take()) is not None:
            self.taken.append(message)

    @precondition(lambda self: self.acknowledged < len(self.taken))
    @rule(count=st.data())
    def acknowledge(self, count: st.DataObject) -> None:
        self.acknowledged = count.draw(st.integers(self.acknowledged + 1, len(self.taken)))
        self.queue.acknowledge(self.acknowledged)

    @rule(ms=st.integers(1, 4))
    def pass_time(self, ms: int) -> None:
        self.clock._now += ms * MS

    @invariant()
    def counts_add_up(self) -> None:
        counts = self.queue.counts()
        assert counts.sent == sum(map(is_item, self.offered))
        assert counts.received == sum(map(is_item, self.taken[: self.acknowledged]))
        assert counts.gaps == sum(m.kind == "gap" for m in self.offered)
        assert counts.waiting == sum(map(is_item, self.queue.waiting))
        assert counts.unaccounted == 0
        for stream in "ab":
            mine = counts.streams.get(stream, LinkCounts())
            assert mine.sent == sum(is_item(m) for m in self.offered if m.stream == stream)
            assert mine.received == sum(is_item(m) for m in self.taken[: self.acknowledged] if m.stream == stream)
            assert mine.unaccounted == 0
            assert mine.waiting == sum(is_item(m) for m in self.queue.waiting if m.stream == stream)

    @invariant()
    def what_waits_is_bounded(self) -> None:
        """By the size and the EOS, which are never dropped: between two of them is one watermark at most."""
        waiting = self.queue.waiting
        ends = sum(m.kind == "eos" for m in self.offered)
        lanes = 1 if self.policy.policy == "block" else 2
        assert sum(map(is_item, waiting)) <= lanes * self.policy.size
        assert len(waiting) <= 2 * (lanes * self.policy.size + ends + 2)

    @invariant()
    def credits_hold(self) -> None:
        assert len(self.taken) - self.acknowledged <= self.policy.window

    @invariant()
    def order_holds_and_eos_is_never_dropped(self) -> None:
        order = {id(message): at for at, message in enumerate(self.offered)}
        for streams in ["ab"] if self.policy.policy == "block" else ["a", "b"]:
            taken = [order[id(m)] for m in self.taken if m.kind != "watermark" and m.stream in streams]
            assert taken == sorted(set(taken))
            seen = set(taken)
            for at, message in enumerate(self.offered[: max(seen, default=0)]):
                assert at in seen or message.kind != "eos" or message.stream not in streams, "EOS was lost"

    @invariant()
    def watermarks_never_go_back(self) -> None:
        for stream in "ab":
            bounds = [m.watermark for m in self.taken if m.stream == stream and m.kind != "eos"]
            assert bounds == sorted(bounds)

    def teardown(self) -> None:
        """Drained, the receiver knows as much of time as the sender, and of the drops the right ones are missing."""
        if not hasattr(self, "queue"):
            return
        self.queue.acknowledge(len(self.taken))
        while (message := self.queue.take()) is not None:
            self.taken.append(message)
            self.queue.acknowledge(len(self.taken))
        assert self.queue.empty
        assert self.queue.counts().in_flight == 0
        assert sum(m.kind == "eos" for m in self.taken) == sum(m.kind == "eos" for m in self.offered)
        for stream in "ab":
            sent = [m.watermark for m in self.offered if m.stream == stream]  # EOS says forever
            got = [m.watermark for m in self.taken if m.stream == stream]
            assert max(sent, default=0) == max(got, default=0)
        if self.policy.policy == "block":
            assert [m for m in self.taken if m.kind != "watermark"] == [
                m for m in self.offered if m.kind != "watermark"
            ]


TestLinks = Links.TestCase
TestLinks.pytestmark = [pytest.mark.slow("many examples")]  # type: ignore[attr-defined]
TestLinks.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)


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
