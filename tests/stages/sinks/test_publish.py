"""Results published to other processes."""

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import zmq

from emopipe.pipeline.access.curve import be_client
from emopipe.pipeline.access.keys import KeyPair, read_pair, write_pair
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.message import FOREVER, Codec, Hop
from emopipe.pipeline.testing import StageHarness, gap, watermark
from emopipe.stages.sinks.publish import Publish
from emopipe.stages.types import Emotions
from tests.support.endpoints import free_port
from tests.support.factories import make_emotions, result
from tests.support.publishing import publish, publisher
from tests.support.subscribers import Subscriber

Subscribe = Callable[..., Subscriber]


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/emotions"


@pytest.fixture
def subscribe(endpoint: str) -> Iterator[Subscribe]:
    """Start subscribers to `endpoint`; they are gone at the end of the test."""
    started: list[Subscriber] = []

    def start(*arguments: Any, at: str = endpoint, **keywords: Any) -> Subscriber:
        started.append(Subscriber(at, *arguments, **keywords))
        return started[-1]

    yield start
    for subscriber in started:
        subscriber.kill()


# -- what arrives --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["tcp://127.0.0.1", "tcp://localhost", "ipc"])
def test_results_gaps_and_ends_arrive_in_order(address: str, endpoint: str, subscribe: Subscribe) -> None:
    at = endpoint if address == "ipc" else f"{address}:{free_port()}"
    subscriber = subscribe(at=at)
    stage = publish(
        at,
        result(0, {1: "happy"}, "sad", stream="cam", duration=40 * MS),
        gap(20 * MS, 500 * MS, stream="cam", watermark=20 * MS),
        result(40 * MS, stream="cam", seq=2),
    )
    topics, messages = zip(*subscriber.received(), strict=True)
    assert topics == (b"emotions/cam",) * 4 + (b"emotions/",)
    assert [message.kind for message in messages] == ["data", "gap", "data", "eos", "eos"]
    assert [message.stream for message in messages] == ["cam", "cam", "cam", "cam", ""]
    assert [message.pts for message in messages[:3]] == [0, 20 * MS, 40 * MS]
    assert [message.duration for message in messages[:2]] == [40 * MS, 500 * MS]
    assert [message.watermark for message in messages] == [1, 20 * MS, 40 * MS + 1, FOREVER, FOREVER]
    assert messages[0].payload == make_emotions({1: "happy"}, "sad")
    assert messages[1].payload is None
    assert stage.counters == {
        "subscribed": 1,
        "published": 5,
        "frames_with_face": 1,
        "frames_without_face": 1,
        "forced": 0,
        "silent_ns": 500 * MS,
    }


def test_the_header_is_what_the_links_use(endpoint: str, subscribe: Subscribe) -> None:
    subscriber = subscribe()
    sent = result(7, {1: "happy"}, stream="cam", seq=3)
    publish(endpoint, sent)
    received = subscriber.received()[0][1]
    assert Codec(Emotions).decode(Codec(Emotions).encode(received)) == received
    assert (received.type, received.version, received.seq, received.epoch) == ("Emotions", 1, 3, 0)


def test_the_end_says_which_seq_would_have_followed(endpoint: str, subscribe: Subscribe) -> None:
    subscriber = subscribe()
    publish(endpoint, *(result(n, stream="a", seq=n) for n in range(4)), result(0, stream="b", seq=8))
    ends = {message.stream: message.seq for _, message in subscriber.received() if message.kind == "eos"}
    assert ends == {"a": 4, "b": 9, "": 0}


def test_a_subscriber_may_choose_a_stream(endpoint: str, subscribe: Subscribe) -> None:
    subscriber = subscribe("emotions/b", until=["b"])
    publish(endpoint, result(0, stream="a"), result(1, stream="b"), result(2, stream="a"))
    assert [topic for topic, _ in subscriber.received()] == [b"emotions/b"] * 2


def test_the_trace_ends_with_the_publisher(endpoint: str, subscribe: Subscribe) -> None:
    subscriber = subscribe()

    async def drive() -> None:
        async with StageHarness(publisher(endpoint, subscribers=1)) as stage:
            await stage.clock.advance(20 * MS)
            await stage.send("emotions", result(0, trace=[Hop("cam", 0, 5 * MS)]))
            await stage.finish()

    asyncio.run(drive())
    assert subscriber.received()[0][1].trace == [Hop("cam", 0, 5 * MS), Hop("results", 20 * MS, 20 * MS)]


@pytest.mark.parametrize("wanted", [False, True])
def test_watermarks_are_published_where_they_are_wanted(wanted: bool, endpoint: str, subscribe: Subscribe) -> None:
    subscriber = subscribe()
    publish(
        endpoint,
        result(0),
        watermark(1),  # the result has said so already
        watermark(5 * SECOND),
        watermark(6 * SECOND),
        result(7 * SECOND, seq=1),
        watermarks=wanted,
    )
    moves = [(m.seq, m.watermark) for _, m in subscriber.received() if m.kind == "watermark"]
    assert moves == ([(1, 5 * SECOND), (1, 6 * SECOND)] if wanted else [])


def test_a_run_that_is_cut_short_does_not_look_complete(endpoint: str, subscribe: Subscribe) -> None:
    subscriber = subscribe(until=["done"])

    async def cut_short() -> None:
        async with StageHarness(stage := publisher(endpoint, subscribers=1)) as harness:
            await harness.send("emotions", result(0, stream="open"))
            await stage.flush("done")

    asyncio.run(cut_short())
    kinds = [(message.stream, message.kind) for _, message in subscriber.received()]
    assert kinds == [("open", "data"), ("done", "eos")]


# -- who listens ---------------------------------------------------------------------------------------------


def test_nobody_needs_to_listen(endpoint: str) -> None:
    assert publish(endpoint, result(0), subscribers=0).counters["published"] == 3


def test_it_waits_for_as_many_as_it_is_told_to(endpoint: str, subscribe: Subscribe) -> None:
    both = [subscribe(), subscribe()]
    publish(endpoint, *(result(n, seq=n) for n in range(3)), subscribers=2)
    assert [[m.seq for _, m in each.received() if m.kind == "data"] for each in both] == [[0, 1, 2]] * 2


def test_subscriptions_to_something_else_do_not_count(endpoint: str, subscribe: Subscribe) -> None:
    subscribe("weather/")
    with pytest.raises(EmopipeError) as caught:
        publish(endpoint, wait=2.0)
    assert str(caught.value) == (
        f"subscribers: 0 of 1 subscriptions came to {endpoint} within 2 s; "
        "start the subscribers first, or give more time with `wait`"
    )


@pytest.mark.slow("real time")
def test_a_subscriber_that_does_not_read_holds_nothing_up_and_sees_what_it_has_lost(endpoint: str) -> None:
    count = 20_000
    lazy = zmq.Context()
    slow = lazy.socket(zmq.SUB)
    slow.set_hwm(1)
    slow.connect(endpoint)
    slow.subscribe("emotions/")

    async def drive() -> Publish:
        async with StageHarness(stage := publisher(endpoint, subscribers=1, hwm=10)) as harness:
            for number in range(count):
                # Beyond the harness, which lets every other task run between two messages.
                await stage.process("emotions", result(number, {1: "happy"}, seq=number, trace=[Hop("r", 0, 0)]))
            await harness.finish()
        return stage

    assert asyncio.run(drive()).counters["frames_with_face"] == count
    seqs = []
    while slow.poll(200):
        header = Codec(Emotions).decode(slow.recv_multipart()[1:])
        seqs.append(header.seq)
    slow.close(linger=0)
    lazy.term()
    assert 0 < len(seqs) < count
    assert seqs == sorted(set(seqs))
    assert seqs[0] == 0


FLOOD = """
import sys, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.setsockopt(zmq.SNDHWM, 0)
socket.connect(sys.argv[1])
for number in range(100_000):
    socket.subscribe(b"emotions/%d" % number)
sys.stdin.read()
"""


@pytest.mark.parametrize("address", ["ipc", "tcp"])
def test_who_subscribes_without_end_is_cut_off_and_others_hear_on(address: str, endpoint: str) -> None:
    where = endpoint if address == "ipc" else f"tcp://127.0.0.1:{free_port()}"

    async def drive(friend: "zmq.Socket[bytes]") -> int:
        async with StageHarness(stage := publisher(where)) as harness, asyncio.timeout(60):
            friend.connect(where)
            friend.subscribe(b"emotions/")
            while not stage.counters["refused"]:
                await asyncio.sleep(0.01)
            while friend.poll(0):  # of before
                friend.recv_multipart()
            while not friend.poll(0):
                await harness.send("emotions", result(0, {1: "happy"}))
                await asyncio.sleep(0.01)
            assert harness.outputs.warnings == ["a subscriber was cut off: it has subscribed more than 1000 times"]
            return stage.counters["subscribed"]

    with zmq.Context() as context, context.socket(zmq.SUB) as friend, ExitStack() as stack:
        friend.linger = 0
        flood = stack.enter_context(subprocess.Popen([sys.executable, "-c", FLOOD, where], stdin=subprocess.PIPE))
        stack.callback(flood.kill)
        assert 1000 < asyncio.run(drive(friend)) < 50_000  # more than may be, since much is on its way


def test_one_who_comes_and_goes_is_not_cut_off(endpoint: str) -> None:
    async def drive() -> int:
        context = zmq.Context()
        try:
            async with StageHarness(stage := publisher(endpoint)), asyncio.timeout(60):
                for number in range(15):
                    with context.socket(zmq.SUB) as subscriber:
                        subscriber.linger = 0
                        subscriber.connect(endpoint)
                        for topic in range(100):
                            subscriber.subscribe(b"emotions/%d" % topic)
                        while stage.counters["subscribed"] < 100 * (number + 1):
                            await asyncio.sleep(0.005)
                return stage.counters["refused"]
        finally:
            context.destroy(0)

    assert asyncio.run(drive()) == 0


# -- where it binds ------------------------------------------------------------------------------------------


def test_a_path_in_use_is_not_taken_away_from_its_owner(endpoint: str, subscribe: Subscribe) -> None:
    subscriber = subscribe()

    async def drive() -> None:
        async with StageHarness(publisher(endpoint, subscribers=1)) as first:
            with pytest.raises(EmopipeError, match=re.escape(f"endpoint: {endpoint} is in use")):
                async with StageHarness(publisher(endpoint)):
                    pass
            await first.send("emotions", result(0))
            await first.finish()

    asyncio.run(drive())
    assert [message.kind for _, message in subscriber.received()] == ["data", "eos", "eos"]


def test_the_socket_of_a_killed_run_is_in_nobodys_way(endpoint: str, tmp_path: Path, subscribe: Subscribe) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(tmp_path / "emotions"))
    subscriber = subscribe()
    publish(endpoint, result(0))
    assert len(subscriber.received()) == 3


def test_beyond_loopback_it_publishes_for_allowed_keys_alone(tmp_path: Path) -> None:
    desk, anna = write_pair(tmp_path, "desk"), write_pair(tmp_path / "allowed", "anna")
    where = f"tcp://127.0.0.1:{free_port()}"
    keys = {"secret_key": str(desk.secret_file), "allow": str(tmp_path / "allowed")}

    async def drive(friend: "zmq.Socket[bytes]", stranger: "zmq.Socket[bytes]") -> Publish:
        stage = publisher(where.replace("127.0.0.1", "0.0.0.0"), subscribers=1, **keys)
        assert stage.settings.check() == []
        async with StageHarness(stage) as harness, asyncio.timeout(60):
            for number in range(50):
                await harness.send("emotions", result(number, {1: "happy"}, seq=number))
            await harness.finish()
        assert stranger.poll(0) == 0
        return stage

    with zmq.Context() as context, context.socket(zmq.SUB) as friend, context.socket(zmq.SUB) as stranger:
        for socket_, pair in ((stranger, KeyPair.new()), (friend, read_pair(anna.secret_file))):
            socket_.linger = 0
            be_client(socket_, pair, desk.public)
            socket_.connect(where)
            socket_.subscribe(b"emotions/")
        stage = asyncio.run(drive(friend, stranger))
        seqs = [Codec(Emotions).decode(friend.recv_multipart()[1:]).seq for _ in range(52) if friend.poll(1000)]
    assert seqs == [*range(50), 50, 0]  # and the two ends
    assert stage.counters["subscribed"] == 1
