"""telemetry.trace: a file that is whole at every moment, whose slices nest and whose arrows lead somewhere."""

import errno
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emopipe.pipeline.message import Hop, Message
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.telemetry import trace
from emopipe.pipeline.telemetry.trace import TraceEvent, Tracer, TraceWriter
from tests.support.traces import assert_well_formed, read_trace, slices, track_names

US = 1000
LINK = LinkId("capture", "video", "faces", "video")


def message(*hops: tuple[str, int, int], seq: int = 0) -> Message:
    return Message(kind="data", stream="clip", seq=seq, pts=40 * seq, trace=[Hop(*hop) for hop in hops])


def story(seq: int, at: int) -> tuple[list[TraceEvent], list[TraceEvent]]:
    """What the processes of a capture and of a detector collect of one frame that was captured at `at`."""
    capture, faces = Tracer(), Tracer()
    capture.sent("video", message(("capture", at, at), seq=seq))
    taken = message(("capture", at, at), ("faces", at + 5 * US, 0), seq=seq)
    faces.sent("faces", message(("capture", at, at), ("faces", at + 5 * US, at + 11 * US), seq=seq))
    faces.taken(LINK, taken, at + 12 * US)
    return capture.take()[0], faces.take()[0]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "trace.json"


@pytest.fixture
def writer(path: Path) -> Iterator[TraceWriter]:
    with closing(TraceWriter(path)) as made:
        yield made


@pytest.mark.parametrize("late", [False, True])
def test_a_message_is_followed_from_stage_to_stage_whoever_reports_first(
    path: Path, writer: TraceWriter, late: bool
) -> None:
    of_capture, of_faces = story(0, 7 * US)
    told = [("capture", 1, of_capture), ("vision", 2, of_faces)]
    for name, process, events in reversed(told) if late else told:
        writer.add(name, process, events)
        assert_well_formed(read_trace(path))
    events = read_trace(path)
    names = track_names(events)
    assert sorted(names.values()) == ["capture sends", "faces sends", "faces takes"]
    spans = {(names[e["tid"]], e["name"]): (e["ts"], e["dur"]) for e in slices(events)}
    assert spans == {
        ("capture sends", "clip"): (7, 1),  # no time at all would not be seen
        ("faces takes", "clip"): (7, 12),
        ("faces takes", "queued"): (7, 5),
        ("faces takes", "handled"): (12, 7),
        ("faces sends", "clip"): (12, 6),
    }
    arrows = [(e["id"], e["ph"], names[e["tid"]]) for e in events if e["ph"] in "sf"]
    ways = {(start, end) for i, p, start in arrows for j, q, end in arrows if (i, p, q) == (j, "s", "f")}
    assert ways == {("capture sends", "faces takes"), ("faces takes", "faces sends")}
    assert slices(events, "clip")[0]["args"] == {"seq": 0, "pts_ms": 0.0, "output": "capture.video"}


def test_messages_that_overlap_lie_on_tracks_of_their_own(path: Path, writer: TraceWriter) -> None:
    stories = [story(seq, seq * 5 * US) for seq in range(40)]  # each is there for 12 us
    for of_capture, of_faces in stories:
        writer.add("capture", 1, of_capture)
        writer.add("vision", 2, of_faces)
    events = read_trace(path)
    assert_well_formed(events)
    assert len(slices(events, "clip")) == 120
    assert sum(name.startswith("faces takes") for name in track_names(events).values()) == 3


times = st.integers(0, 40).map(lambda us: us * US // 2)
frames = st.lists(st.tuples(times, times, times, times), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames, st.integers(1, 5), st.randoms())
def test_whatever_happened_when_the_trace_is_well_formed(path: Path, seen: Any, cut: int, order: Any) -> None:
    """Of any messages, told in any order and in any pieces; with another host's clock one may arrive before it left."""
    told: list[tuple[str, int, TraceEvent]] = []
    for seq, (at, queued, worked, handled) in enumerate(seen):
        capture, faces = Tracer(), Tracer()
        received = at + queued - 3 * US
        capture.sent("video", message(("capture", at, at), seq=seq))
        hops = ("capture", at, at), ("faces", received, received + worked)
        faces.sent("faces", message(*hops, seq=seq))
        faces.taken(LINK, message(*hops, seq=seq), received + handled)
        told += [("capture", 1, each) for each in capture.take()[0]]
        told += [("vision", 2, each) for each in faces.take()[0]]
    order.shuffle(told)
    with closing(TraceWriter(path)) as writer:
        for start in range(0, len(told), cut):
            for name, process in (("capture", 1), ("vision", 2)):
                writer.add(name, process, [each for _, of, each in told[start : start + cut] if of == process])
    events = read_trace(path)
    assert_well_formed(events)
    assert len(slices(events, "clip")) == 3 * len(seen)


def test_what_is_collected_between_two_reports_is_bounded(monkeypatch: pytest.MonkeyPatch, writer: TraceWriter) -> None:
    monkeypatch.setattr(trace, "MAX_PENDING_EVENTS", 3)
    tracer = Tracer()
    for seq in range(5):
        tracer.sent("video", message(("capture", seq * US, seq * US), seq=seq))
    events, lost = tracer.take()
    assert ([event.seq for event in events], lost) == ([0, 1, 2], 2)
    assert tracer.take() == ([], 0)
    writer.add("capture", 1, events, lost)
    assert writer.lost == 2


def test_so_is_what_is_remembered_of_messages_that_nobody_takes(
    monkeypatch: pytest.MonkeyPatch, writer: TraceWriter
) -> None:
    monkeypatch.setattr(trace, "MAX_OPEN_FLOWS", 10)
    for seq in range(100):
        of_capture, of_faces = story(seq, seq * 50 * US)
        writer.add("capture", 1, of_capture)
        writer.add("vision", 2, [each for each in of_faces if each.kind == "out"])
        assert len(writer._open) <= 10
        assert len(writer._awaited) <= 10


def test_a_stage_with_too_many_messages_at_a_time_gets_no_more_tracks(
    monkeypatch: pytest.MonkeyPatch, path: Path, writer: TraceWriter
) -> None:
    monkeypatch.setattr(trace, "MAX_TRACKS", 4)
    writer.add("vision", 2, [TraceEvent("in", "faces", "clip", n, n, "capture.video", 0, US, 9 * US) for n in range(6)])
    assert len(slices(read_trace(path), "clip")) == 4
    assert writer.lost == 2


def test_a_file_that_is_large_enough_is_closed_whole(
    monkeypatch: pytest.MonkeyPatch, path: Path, writer: TraceWriter
) -> None:
    monkeypatch.setattr(trace, "MAX_TRACE_BYTES", 2000)
    for seq in range(20):
        writer.add("capture", 1, story(seq, seq * 50 * US)[0])
    assert writer.full
    assert path.stat().st_size <= 2003
    events = read_trace(path)
    assert_well_formed(events)
    assert len(slices(events)) + writer.lost == 20 - 1  # the one that found it full


@pytest.mark.parametrize("written", [0, 7])
def test_a_full_disk_leaves_what_was_there_whole(
    monkeypatch: pytest.MonkeyPatch, path: Path, writer: TraceWriter, written: int
) -> None:
    writer.add("capture", 1, story(0, 0)[0])
    whole = read_trace(path)
    write = os.pwrite

    def fails_once(descriptor: int, content: bytes, at: int) -> int:
        monkeypatch.setattr(os, "pwrite", write)
        if not written:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(descriptor, content[:written], at)

    monkeypatch.setattr(os, "pwrite", fails_once)
    writer.add("capture", 1, story(1, 50 * US)[0])
    assert writer.full
    assert read_trace(path) == whole


def test_without_any_event_it_is_an_empty_list(path: Path) -> None:
    TraceWriter(path).close()
    assert read_trace(path) == []
