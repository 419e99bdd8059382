"""What a stage says of itself while it runs, and at its end."""

import msgspec

from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.latency import Latency
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import LinkId


class HopLatency(msgspec.Struct):
    """Where time went on the way to a sink: waiting for a stage, and in it (what it held back for others included)."""

    queued: Latency = msgspec.field(default_factory=Latency)
    working: Latency = msgspec.field(default_factory=Latency)


class Delays:
    """What a sink learns of the way its messages have come."""

    def __init__(self) -> None:
        self.age = Latency()
        self.hops: dict[str, HopLatency] = {}

    def add(self, message: Message, now: int) -> None:
        """Take in a message that has been handled at `now` (monotonic ns)."""
        capture, *later = message.trace
        left = began = capture.sent or capture.received
        for hop in later:
            sent = hop.sent or now  # the sink's own hop is still open
            latency = self.hops.setdefault(hop.stage, HopLatency())
            latency.queued.add(hop.received - left)
            latency.working.add(sent - hop.received)
            left = sent
        self.age.add(now - began)


class Report(msgspec.Struct, kw_only=True):
    """What a stage has done so far.

    Attributes:
        stage: its name in the graph.
        counters: its own counts.
        streams: those of them that are counted by stream: open streams, and the last that have ended.
        links: what its outputs sent, by link.
        age: at a sink, the time from capture to here.
        hops: at a sink, where that time went, by stage; the capture, whose work is before the age begins, is left out.
        gaps: the longest that each input received nothing while a stream was open there (ns), by port.
        done: of a source, how far it has come (ns of running time).
        total: of how much; 0 where nobody knows.
        ended: whether all is done.
    """

    stage: str
    counters: dict[str, int] = {}
    streams: dict[str, dict[str, int]] = {}
    links: dict[LinkId, LinkCounts] = {}
    age: Latency = msgspec.field(default_factory=Latency)
    hops: dict[str, HopLatency] = {}
    gaps: dict[str, int] = {}
    done: int = 0
    total: int = 0
    ended: bool = False
