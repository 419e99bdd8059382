"""What all sinks share: a result as a plain record, its account, and its latency hop by hop.

The record of a result is what the files hold: the fields of the message and of `Emotions`, in their declared order,
with floats rounded to 6 decimals, and nothing of the wall clock, so that the same results give the same bytes.
"""

from typing import Any

import msgspec

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.message import Message
from emopipe.pipeline.stage import Stage
from emopipe.stages.types import Emotions, Marker

DECIMALS = 6


class ResultRecord(Emotions):
    """A result as files hold it (docs/wire-format.md): `record` writes it, and this reads it."""

    stream: str
    pts: int
    duration: int


def record(message: Message) -> dict[str, Any]:
    """A result (a data message that holds `Emotions`) as JSON-like values; times are in ns but `time`, in s."""
    return {
        "stream": message.stream,
        "seq": message.seq,
        "pts": message.pts,
        "time": seconds(message.pts),
        "duration": message.duration,
        **rounded(msgspec.to_builtins(message.payload)),
    }


class MarkerRecord(msgspec.Struct):
    """A line of a file of results that says what happened: `marker_record` writes it, and this reads it."""

    stream: str
    pts: int
    marker: str
    sender: str
    sent: float


def marker_record(message: Message) -> dict[str, Any]:
    """A marker (a data message that holds a `Marker`) as JSON-like values; pts in ns, `time` and `sent` in s."""
    marker: Marker = message.payload
    return {
        "stream": message.stream,
        "pts": message.pts,
        "time": seconds(message.pts),
        "marker": marker.value,
        "sender": marker.sender,
        "sent": round(marker.sent, DECIMALS),
    }


def timing(message: Message, now: int) -> dict[str, Any]:
    """Where a result's time went, in ms: for each hop after capture the wait for the stage, and the stage's own work.

    `message` is as the sink received it, and `now` (monotonic ns) ends the sink's own hop. A hop's `queued_ms` is from
    the stage before having sent to this one having received, `working_ms` from there to having sent its own, what it
    held back for a batch or a partner included. They add up to `total_ms`, which counts from capture.
    """
    capture, *later = message.trace
    hops = []
    left = capture_time(message)
    for hop in later:
        sent = hop.sent or now  # the sink's own hop is still open
        hops.append({"stage": hop.stage, "queued_ms": ms(hop.received - left), "working_ms": ms(sent - hop.received)})
        left = sent
    return {
        "stream": message.stream,
        "seq": message.seq,
        "pts": message.pts,
        "capture": capture.stage,
        "total_ms": ms(now - capture_time(message)),
        "hops": hops,
    }


def capture_time(message: Message) -> int:
    """When (monotonic ns) the thing that a received result is about was captured."""
    first = message.trace[0]
    return first.sent or first.received


def count_result(sink: Stage, message: Message) -> None:
    """Count a result or a gap, so that a run can show that every frame and every moment of sound is accounted for."""
    stream = message.stream
    if message.kind == "gap":
        sink.count("silent_ns", stream, message.duration)
        return
    emotions: Emotions = message.payload
    if emotions.source == "voice":
        sink.count("voice_windows", stream)
    else:
        sink.count("frames_with_face" if emotions.faces else "frames_without_face", stream)
    sink.count("forced", stream, int(emotions.forced))


def likeliest(probabilities: dict[str, float]) -> tuple[str, float]:
    """The most probable label of a distribution, and its probability."""
    label = max(probabilities, key=probabilities.__getitem__)
    return label, probabilities[label]


def seconds(ns: int) -> float:
    return round(ns / SECOND, DECIMALS)


def ms(ns: int) -> float:
    return round(ns / MS, DECIMALS)


def rounded(value: Any) -> Any:
    """`value` with every float in it rounded, and without a negative zero."""
    if isinstance(value, float):
        return round(value, DECIMALS) + 0.0
    if isinstance(value, dict):
        return {key: rounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(each) for each in value]
    return value
