"""What every link promises, after any order of sends, takes and acknowledgements."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from emopipe.pipeline.clock import MS, FakeClock
from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Queue
from emopipe.pipeline.runtime.link import LinkQueue
from emopipe.pipeline.testing import eos, gap, watermark
from tests.support.payloads import item


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
