"""What a stage, a process and a run say of themselves while they run, and at their end: counts, and latencies."""

import math
from collections import Counter
from typing import Annotated, Literal

import msgspec

from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import LinkId, Mode, Queue

BUCKETS_PER_OCTAVE = 16  # each is 4.4 % wide
SNAPSHOT_VERSION = 1  # of `RunSnapshot` between processes

Bucket = Annotated[int, msgspec.Meta(ge=0, le=64 * BUCKETS_PER_OCTAVE)]
RunState = Literal["loading", "playing", "ending"]


class Latency(msgspec.Struct):
    """A distribution of durations: counts in logarithmic buckets, mergeable, of bounded size, within 5 % of the truth.

    Attributes:
        buckets: `buckets[b]` counts those of about 2^(b/16) ns.
        total: their sum (ns), exactly.
    """

    buckets: dict[Bucket, int] = {}
    total: int = 0

    def add(self, ns: int) -> None:
        bucket = round(math.log2(max(ns, 1)) * BUCKETS_PER_OCTAVE)
        self.buckets[bucket] = self.buckets.get(bucket, 0) + 1
        self.total += ns

    def merge(self, other: "Latency") -> None:
        self.buckets = dict(Counter(self.buckets) + Counter(other.buckets))
        self.total += other.total

    def since(self, before: "Latency") -> "Latency":
        """What has been added since `before` was its state; all of it, if it has been begun anew since."""
        if self.count < before.count:
            return self
        added = Counter(self.buckets)
        added.subtract(before.buckets)
        return Latency({bucket: count for bucket, count in added.items() if count > 0}, self.total - before.total)

    @property
    def count(self) -> int:
        return sum(self.buckets.values())

    def percentile(self, percent: float) -> float:
        """The duration in ns that `percent` of all do not exceed; nan where there is none."""
        rank = math.ceil(self.count * percent / 100)
        seen = 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= max(rank, 1):
                return float(2 ** (bucket / BUCKETS_PER_OCTAVE))
        return math.nan


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


class InletCounts(msgspec.Struct, kw_only=True):
    """What the receiving end of a link has seen.

    Attributes:
        delivered: data and gaps that have come to the stage.
        refused: messages from nobody it knows, dropped unread.
        wait: the time from the sender's sending to the delivery, the wait in the link's queue included.
    """

    delivered: int = 0
    refused: int = 0
    wait: Latency = msgspec.field(default_factory=Latency)


class Report(msgspec.Struct, kw_only=True):
    """What a stage has done so far.

    Attributes:
        stage: its name in the graph.
        counters: its own counts.
        streams: those of them that are counted by stream: open streams, and the last that have ended.
        links: what its outputs sent, by link.
        inlets: what its inputs were sent, by link.
        age: at a sink, the time from capture to here.
        hops: at a sink, where that time went, by stage; the capture, whose work is before the age begins, is left out.
        gaps: the longest that each input received nothing while a stream was open there (ns), by port.
        done: of a source, how far it has come (ns of running time).
        total: of how much; 0 where nobody knows.
        ended: whether all is done.
        restarts: how often the stage has been restarted; the supervisor knows.
    """

    stage: str
    counters: dict[str, int] = {}
    streams: dict[str, dict[str, int]] = {}
    links: dict[LinkId, LinkCounts] = {}
    inlets: dict[LinkId, InletCounts] = {}
    age: Latency = msgspec.field(default_factory=Latency)
    hops: dict[str, HopLatency] = {}
    gaps: dict[str, int] = {}
    done: int = 0
    total: int = 0
    ended: bool = False
    restarts: int = 0

    @property
    def refused(self) -> int:
        """Messages on its links that came from nobody it knows, or speak of nothing it knows; they changed nothing."""
        ends = sum(counts.refused for counts in self.links.values())
        return ends + sum(counts.refused for counts in self.inlets.values())


class Interruption(msgspec.Struct, kw_only=True):
    """A process was restarted in live mode, and what went through it is missing.

    Attributes:
        stages: that were in it.
        reason: what had happened to it.
        seconds: from then until it went on.
        epochs: of the streams that pass it, in which they go on.
    """

    stages: list[str]
    reason: str
    seconds: float
    epochs: dict[str, int]

    @property
    def sentence(self) -> str:
        """`faces restarted (the process was killed by SIGKILL), 2.1 s without`, for people."""
        return f"{' and '.join(self.stages)} restarted ({self.reason}), {self.seconds:.1f} s without"


class ProcessReport(msgspec.Struct, kw_only=True):
    """What one process of a run uses of the machine.

    Attributes:
        cpu: processor time in ns, since play.
        memory: resident, in bytes; 0 where the system does not tell, as `descriptors` are.
        descriptors: open files and sockets.
        stages: that run in it; none of the supervisor.
        clock_error: by how much its times may be wrong (ns), where it runs on another host.
    """

    pid: int
    cpu: int = 0
    memory: int = 0
    threads: int = 0
    descriptors: int = 0
    stages: list[str] = []
    clock_error: int = 0


class RunSnapshot(msgspec.Struct, kw_only=True):
    """A run at one moment: all that is known of it, for those who watch.

    Attributes:
        graph: its name.
        path: the file it came from.
        pid: of the supervisor's process.
        state: the stages are loading, play, or have ended and close.
        at: when this was (monotonic ns of the run's host).
        seconds: since play.
        reports: of all stages, by name.
        processes: of all workers, by name.
        supervisor: the process that runs them.
        queues: of all links.
        warnings: how many the stages have told.
        damaged: whether part of the input was lost.
        refused: messages that came from nobody whom the run knows, dropped unread.
        version: of this format.
    """

    graph: str
    path: str
    mode: Mode
    pid: int
    state: RunState
    at: int
    seconds: float
    reports: dict[str, Report]
    processes: dict[str, ProcessReport]
    supervisor: ProcessReport
    queues: dict[LinkId, Queue]
    warnings: int
    damaged: bool
    refused: int
    version: int = SNAPSHOT_VERSION
