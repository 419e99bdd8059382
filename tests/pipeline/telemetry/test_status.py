"""telemetry.status: viewers get the newest snapshot, whatever they and others do; nobody holds the one who tells."""

import time
from pathlib import Path

import msgspec
import pytest
import zmq

from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.port import LinkId, Queue
from emopipe.pipeline.report import InletCounts, Latency, Report
from emopipe.pipeline.telemetry.status import StatusServer, StatusViewer
from tests.support.snapshots import snapshot

LINK = LinkId("faces", "faces", "facial", "faces")
NESTED = (
    b"\x82\xa7version\x01\xa7reports\x81\xa1a\x82\xa5stage\xa1a\xa5links\x81\x94"
    + b"\xa1a" * 4
    + (b"\x81\xa7streams\x81\xa1a" * 100_000)
)
FAR = msgspec.msgpack.encode(snapshot(Report(stage="a", age=Latency({10**9: 1}))))  # a bucket of 2^(10^9/16) ns


def told(viewer: StatusViewer, server: StatusServer, seconds: float = 7.0) -> float | None:
    """The running time of what a viewer hears while the server says this one; it may have to connect first."""
    for _ in range(500):
        server.publish(snapshot(seconds=seconds))
        if (heard := viewer.next(0.02)) is not None:
            return heard.seconds
    return None


def test_a_snapshot_arrives_as_it_was(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/status"
    links = {LINK: LinkCounts(sent=3, received=2, dropped={"age": 1}, streams={"a": LinkCounts(sent=3)})}
    inlets = {LINK: InletCounts(delivered=2, wait=Latency({3: 2}, 17))}
    reports = Report(stage="faces", links=links), Report(stage="facial", inlets=inlets, restarts=2)
    run = snapshot(*reports, queues={LINK: Queue(size=4, policy="drop-oldest", max_age=0.2)})
    with StatusServer(tmp_path) as server, StatusViewer(address) as viewer:
        assert told(viewer, server) == 7.0
        server.publish(run)
        while (heard := viewer.next(5)) is not None and heard.seconds == 7.0:
            continue  # what was said while they got to know each other
        assert heard == run


def test_of_a_viewer_who_was_away_the_newest_is_all_that_was_kept(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/status"
    with StatusServer(tmp_path) as server, StatusViewer(address) as viewer:
        assert told(viewer, server) == 7.0
        for number in range(100, 200):
            server.publish(snapshot(seconds=float(number)))
        heard = [viewer.next(5)]
        while heard[-1] is not None and heard[-1].seconds < 199:
            heard.append(viewer.next(5))
        assert heard[-1] == snapshot(seconds=199.0)


def test_a_viewer_that_is_stuck_holds_nobody(tmp_path: Path) -> None:
    """Neither the one who tells, nor other viewers, nor the end: 60 MB are told to somebody who never reads."""
    address = f"ipc://{tmp_path}/status"
    context = zmq.Context()
    stuck = context.socket(zmq.SUB)
    stuck.linger = 0
    stuck.rcvhwm = 1
    stuck.subscribe(b"")
    stuck.connect(address)
    began = time.monotonic()
    with StatusServer(tmp_path) as server, StatusViewer(address) as viewer:
        assert told(viewer, server) == 7.0
        large = snapshot(graph="x" * 1_000_000)
        for _ in range(60):
            server.publish(large)
        assert told(viewer, server, 8.0) is not None
    assert time.monotonic() - began < 20
    stuck.close()
    context.term()


def test_what_is_said_to_the_one_who_tells_goes_nowhere(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/status"
    context = zmq.Context()
    talker = context.socket(zmq.XSUB)
    talker.linger = 0
    talker.connect(address)
    with StatusServer(tmp_path) as server, StatusViewer(address) as viewer:
        for number in range(1000):
            talker.send(b"\1" + number.to_bytes(2, "little"))
            talker.send(b"stop" * 1000)
        assert told(viewer, server) == 7.0
    talker.close()
    context.term()


@pytest.mark.parametrize("address", ["here", "tcp://", "tcp://127.0.0.1:99999", "tcp://127.0.0.1", "nntp://a:1"])
def test_what_is_no_address_is_said_so(address: str) -> None:
    with pytest.raises(EmopipeError, match=r"expected (one|an address) such as tcp://127\.0\.0\.1:5560"):
        StatusViewer(address)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (NESTED, "what comes from there is no status of a run: maximum recursion depth exceeded"),
        (FAR, "what comes from there is no status of a run: Expected `int` <= 1024"),
        (b"hello", "what comes from there is no status of a run"),
        (b"\x80", "what comes from there is no status of a run"),
        (b"\x81\xa7version\x63", "the run speaks version 99 of the status format, this emopipe 1; use the emopipe"),
        (b"\x81\xa7version\x01", "what comes from there is no status of a run: Object missing required field"),
    ],
)
def test_what_is_no_snapshot_is_said_so(tmp_path: Path, content: bytes, problem: str) -> None:
    address = f"ipc://{tmp_path}/status"
    context = zmq.Context()
    server = context.socket(zmq.PUB)
    server.linger = 0
    server.bind(address)
    with StatusViewer(address) as viewer:
        while not viewer._socket.poll(20):  # until they know each other
            server.send(content)
        with pytest.raises(EmopipeError, match=problem):
            viewer.next(5)
    server.close()
    context.term()
