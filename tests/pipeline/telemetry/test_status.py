"""telemetry.status: who asks gets the next snapshot, whatever they and others do; nobody holds the one who tells."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
import zmq

from emopipe.pipeline.access.keys import KeyPair, read_pair, write_pair
from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.port import LinkId, Queue
from emopipe.pipeline.report import InletCounts, Latency, Report
from emopipe.pipeline.telemetry.status import StatusServer, StatusViewer
from emopipe.pipeline.telemetry.usage import Usage
from tests.support.endpoints import free_endpoint
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
        assert viewer.next(0) is None  # it has asked
        while (heard := viewer.next(0.02)) is None:
            server.publish(run)
        assert heard == run


def test_a_viewer_who_was_away_sees_what_was_asked_for_and_then_the_present(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/status"
    with StatusServer(tmp_path) as server, StatusViewer(address) as viewer:
        assert told(viewer, server) == 7.0
        assert viewer.next(0) is None  # it has asked
        for number in range(100, 200):
            server.publish(snapshot(seconds=float(number)))
            time.sleep(0.001)
        missed = viewer.next(5)
        assert missed is not None
        assert 100 <= missed.seconds < 200
        assert told(viewer, server, 500.0) == 500.0


def test_who_has_not_asked_gets_nothing(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/status"
    with StatusServer(tmp_path) as server, StatusViewer(address) as viewer:
        assert told(viewer, server) == 7.0
        server.publish(snapshot())
        assert not viewer._socket.poll(100)


# Asks 50,000 times at more than some length, and never reads an answer.
TALKER = """
import sys, zmq
address, *keys = sys.argv[1:]
talker = zmq.Context().socket(zmq.DEALER)
talker.rcvhwm = 1
if keys:
    talker.curve_publickey, talker.curve_secretkey, talker.curve_serverkey = map(str.encode, keys)
talker.connect(address)
talker.send(b"")
talker.recv()
print("heard", flush=True)
for number in range(50_000):
    talker.send_multipart([number.to_bytes(4, "little") * 200] * 3)
    if number == 20_000:
        print("talking", flush=True)
print("done", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def talking(*arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-c", TALKER, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as talker:
        try:
            yield talker
        finally:
            talker.kill()


def test_a_viewer_that_asks_without_end_and_never_listens_holds_nobody_and_takes_nothing(tmp_path: Path) -> None:
    address = f"ipc://{tmp_path}/status"
    usage = Usage()
    large = snapshot(graph="x" * 100_000)
    with StatusServer(tmp_path) as server, StatusViewer(address) as viewer, talking(address) as talker:
        assert talker.stdout is not None
        os.set_blocking(talker.stdout.fileno(), False)
        said = b""
        while b"heard" not in said:
            server.publish(large)
            said += talker.stdout.read() or b""
        before = usage.sample().memory
        while b"talking" not in said:
            server.publish(large)
            said += talker.stdout.read() or b""
        assert usage.sample().memory - before < 20_000_000
        assert told(viewer, server) is not None


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, KeyPair]:
    return {name: read_pair(write_pair(tmp_path, name).secret_file) for name in ("run", "friend", "stranger")}


def far(folder: Path, keys: dict[str, KeyPair], meet: Callable[[str], None]) -> None:
    """Let a run that lets the friend in meet whoever comes to its address."""

    async def drive() -> None:
        address = free_endpoint().replace("http://", "tcp://")
        with StatusServer(folder, address, (keys["run"], {keys["friend"].public})) as server:
            meeting = asyncio.create_task(asyncio.to_thread(meet, address))
            while not meeting.done():
                server.publish(snapshot(seconds=7.0))
                await asyncio.sleep(0.01)
            await meeting

    asyncio.run(asyncio.wait_for(drive(), 60))


def test_other_hosts_see_it_with_an_allowed_key_alone(tmp_path: Path, keys: dict[str, KeyPair]) -> None:
    run, friend, stranger = keys.values()

    def meet(address: str) -> None:
        with StatusViewer(address, (friend, run.public)) as viewer:
            heard = viewer.next(20)
            assert heard is not None
            assert heard.seconds == 7.0
        for wrong in ((stranger, run.public), (friend, stranger.public), None):
            with StatusViewer(address, wrong) as viewer:
                assert viewer.next(0.5) is None

    far(tmp_path, keys, meet)


@pytest.mark.slow("takes in 20,000 encrypted messages that nobody wants")
def test_nor_does_one_elsewhere_with_a_key(tmp_path: Path, keys: dict[str, KeyPair]) -> None:
    run, friend, _ = keys.values()
    usage = Usage()

    def meet(address: str) -> None:
        with talking(address, *friend, run.public) as talker:
            assert talker.stdout is not None
            assert talker.stdout.readline() == b"heard\n"
            before = usage.sample().memory
            assert talker.stdout.readline() == b"talking\n"
            assert usage.sample().memory - before < 20_000_000
            with StatusViewer(address, (friend, run.public)) as viewer:
                assert viewer.next(20) is not None

    far(tmp_path, keys, meet)


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
    server = context.socket(zmq.ROUTER)
    server.linger = 0
    server.bind(address)
    with StatusViewer(address) as viewer:
        assert viewer.next(0) is None
        asking, _ = server.recv_multipart()
        server.send_multipart([asking, content])
        with pytest.raises(EmopipeError, match=problem):
            viewer.next(5)
    server.close()
    context.term()
