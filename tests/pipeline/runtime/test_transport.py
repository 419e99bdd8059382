"""runtime.transport: links over real sockets and inside a process lose nothing, wait where they must, and drain."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from emopipe.pipeline.clock import FakeClock, SystemClock, settle
from emopipe.pipeline.message import FOREVER, Codec, Message
from emopipe.pipeline.port import LinkId, Queue
from emopipe.pipeline.runtime.channel import BoundChannel, ConnectedChannel, Endpoint, new_key
from emopipe.pipeline.runtime.output import Output
from emopipe.pipeline.runtime.transport import (
    Inbox,
    Inlet,
    LinkError,
    LocalInlet,
    LocalOutlet,
    Outlet,
    ZmqInlet,
    ZmqOutlet,
)
from tests.support.toy_stages import Number

CLOCK = SystemClock()
LINK = LinkId("sender", "numbers", "receiver", "numbers")


class Ends:
    """Both ends of one link, and a receiver that takes from the inbox."""

    def __init__(self, queue: Queue, how: str, tmp_path: Path) -> None:
        self.inbox: Inbox = asyncio.Queue()
        self.context = zmq.Context()
        self.inlet: Inlet
        self.outlet: Outlet
        arguments = (LINK, self.inbox, CLOCK, queue.window)
        if how == "local":
            local = LocalInlet(*arguments)
            self.inlet, self.outlet = local, LocalOutlet(queue, CLOCK, local)
            return
        address = f"ipc://{tmp_path}/link" if how == "ipc" else "tcp://127.0.0.1:*"
        remote = ZmqInlet(*arguments, context=self.context, address=address, payload=Number)
        self.inlet = remote
        self.outlet = ZmqOutlet(queue, CLOCK, context=self.context, endpoint=remote.endpoint, payload=Number)

    async def take(self, count: int, slow: float = 0.0) -> list[Message]:
        taken = []
        while len(taken) < count:
            _, message = await self.inbox.get()
            if slow:
                await asyncio.sleep(random.uniform(0, slow))
            taken.append(message)
            self.inlet.consumed()
        self.inlet.acknowledge()
        return taken

    def close(self) -> None:
        self.inlet.close()
        self.outlet.close()
        self.context.term()


def number(n: int, size: int = 8) -> Message:
    payload = Number(value=n, ballast=np.full(size, n % 256, np.uint8))
    return Message(kind="data", stream="s", seq=n, pts=n, watermark=n + 1, type="Number", payload=payload)


hows = pytest.mark.parametrize("how", ["local", "ipc", "tcp"])


@hows
@pytest.mark.parametrize("size", [1, 2, 16])
def test_a_blocking_link_loses_nothing(how: str, size: int, tmp_path: Path) -> None:
    async def drive() -> None:
        ends = Ends(Queue(size=size), how, tmp_path)
        receiving = asyncio.create_task(ends.take(301))
        for n in range(300):
            await ends.outlet.send(number(n, 1000))
        await ends.outlet.send(Message(kind="eos", stream="s", watermark=FOREVER))
        taken = await receiving
        await ends.outlet.drain()
        assert [message.payload.value for message in taken[:-1]] == list(range(300))
        assert all((m.payload.ballast == m.payload.value % 256).all() for m in taken[:-1])
        assert taken[-1].kind == "eos"
        counts = ends.outlet.counts()
        assert (counts.sent, counts.received, counts.dropped, counts.in_flight) == (300, 300, {}, 0)
        ends.close()

    asyncio.run(asyncio.wait_for(drive(), 30))


@hows
def test_a_blocking_link_makes_its_sender_wait(how: str, tmp_path: Path) -> None:
    async def drive() -> None:
        ends = Ends(Queue(size=3), how, tmp_path)
        sent = 0

        async def send() -> None:
            nonlocal sent
            for n in range(50):
                await ends.outlet.send(number(n))
                sent += 1

        sending = asyncio.create_task(send())
        await asyncio.sleep(0.2)
        assert sent == 6  # three wait, three are under way, and nothing hides in a socket
        await ends.take(50)
        await sending
        assert sent == 50
        ends.close()

    asyncio.run(asyncio.wait_for(drive(), 30))


@hows
def test_a_dropping_link_never_makes_its_sender_wait_and_counts(how: str, tmp_path: Path) -> None:
    async def drive() -> None:
        ends = Ends(Queue(size=2, policy="drop-oldest"), how, tmp_path)
        for n in range(100):
            await ends.outlet.send(number(n))
        await ends.outlet.send(Message(kind="eos", stream="s", watermark=FOREVER))
        taken = await ends.take(4)
        await ends.outlet.drain()
        assert [m.payload.value for m in taken[:-1]] == [0, 98, 99]
        assert taken[-1].kind == "eos"
        counts = ends.outlet.counts()
        assert (counts.sent, counts.received, counts.dropped) == (100, 3, {"oldest": 97})
        ends.close()

    asyncio.run(asyncio.wait_for(drive(), 30))


@hows
def test_order_holds_for_a_receiver_of_any_speed(how: str, tmp_path: Path) -> None:
    async def drive() -> None:
        ends = Ends(Queue(size=4), how, tmp_path)
        receiving = asyncio.create_task(ends.take(100, slow=0.002))
        for n in range(100):
            await ends.outlet.send(number(n))
        assert [message.seq for message in await receiving] == list(range(100))
        ends.close()

    asyncio.run(asyncio.wait_for(drive(), 30))


@hows
@pytest.mark.parametrize("policy", ["block", "drop-oldest"])
def test_room_comes_back_with_what_the_receiver_consumes(how: str, policy: Any, tmp_path: Path) -> None:
    async def drive() -> None:
        ends = Ends(Queue(size=1, policy=policy), how, tmp_path)
        assert ends.outlet.has_room("s")
        for n in range(2):  # one under way, one that waits
            await ends.outlet.send(number(n))
        assert not ends.outlet.has_room("s")
        assert ends.outlet.has_room("other") == (policy == "drop-oldest")
        moved = asyncio.create_task(ends.outlet.moved())
        await ends.take(1)
        await moved
        assert ends.outlet.has_room("s")
        assert ends.outlet.counts().dropped == {}
        ends.close()

    asyncio.run(asyncio.wait_for(drive(), 30))


def test_the_longest_gap_counts_only_while_a_stream_is_open() -> None:
    async def drive() -> None:
        clock = FakeClock()
        inlet = LocalInlet(LINK, asyncio.Queue(), clock, 1)
        for wait, message in [(5, number(0)), (7, number(1)), (3, Message(kind="eos", stream="s")), (90, number(2))]:
            await clock.advance(wait)
            inlet.deliver(message)
        assert inlet.longest_gap(clock.now()) == 7
        assert inlet.longest_gap(clock.now() + 8) == 8  # the one that goes on

    asyncio.run(drive())


def test_links_that_share_a_message_each_write_their_own_trace() -> None:
    async def drive() -> None:
        inbox: Inbox = asyncio.Queue()
        shared = number(1)
        for name in ("one", "two"):
            inlet = LocalInlet(LinkId("sender", "numbers", name, "numbers"), inbox, CLOCK, 1)
            await LocalOutlet(Queue(), CLOCK, inlet).send(shared)
        stages = [(await inbox.get())[1].trace[-1].stage for _ in range(2)]
        assert stages == ["one", "two"]
        assert shared.trace == []

    asyncio.run(drive())


def errors_of(send: Callable[[ConnectedChannel], None], tmp_path: Path) -> list[Exception]:
    """What goes wrong at a receiver with a window of 2 whose own sender sends what it should not."""
    errors: list[Exception] = []

    async def drive() -> None:
        failed = asyncio.Event()

        def on_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
            errors.append(context["exception"])
            failed.set()

        asyncio.get_running_loop().set_exception_handler(on_error)
        context, inbox = zmq.Context(), asyncio.Queue[tuple[Inlet, Message]]()
        inlet = ZmqInlet(
            LinkId("maker", "numbers", "receiver", "numbers"),
            inbox,
            CLOCK,
            2,
            context=context,
            address=f"ipc://{tmp_path}/link",
            payload=Number,
        )
        sender = ConnectedChannel(context, inlet.endpoint, lambda parts: None)
        send(sender)
        await failed.wait()
        assert inbox.qsize() <= 2
        sender.close()
        inlet.close()
        context.term()

    asyncio.run(asyncio.wait_for(drive(), 30))
    return errors


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([b""], "sent receiver.numbers not a message of type 'Number'"),
        ([b"\x93" * 100_000], "sent receiver.numbers not a message of type 'Number'"),  # nested too deeply to read
        ([Codec(Number).encode(number(1))[0]], "sent receiver.numbers not a message of type 'Number': frame 1 of 1"),
    ],
)
def test_a_sender_of_what_is_no_message_is_named(parts: list[bytes], text: str, tmp_path: Path) -> None:
    (error,) = errors_of(lambda sender: sender.send(parts), tmp_path)
    assert isinstance(error, LinkError)
    assert error.sender == "maker"
    assert str(error).startswith(text)


def test_a_sender_that_exceeds_its_credits_is_named_and_fills_no_inbox(tmp_path: Path) -> None:
    def send(sender: ConnectedChannel) -> None:
        for n in range(3):
            sender.send(Codec(Number).encode(number(n)))

    (error,) = errors_of(send, tmp_path)
    assert isinstance(error, LinkError)
    assert (error.sender, str(error)) == ("maker", "sent receiver.numbers more than its 2 credits allow")


@pytest.mark.parametrize("forged", [[b""], [b"\1"], [(7).to_bytes(8, "little")], [b"\1" + bytes(7)] * 2, [b"\xff" * 8]])
def test_acknowledgements_of_what_is_not_under_way_are_counted_and_change_nothing(
    forged: list[bytes], tmp_path: Path
) -> None:
    async def drive() -> None:
        context, key = zmq.Context(), new_key()
        receiver = BoundChannel(context, f"ipc://{tmp_path}/link", {key: "sender"}, lambda name, parts: None, window=4)
        endpoint = Endpoint(receiver.address, key)
        outlet = ZmqOutlet(Queue(size=2), CLOCK, context=context, endpoint=endpoint, payload=Number)
        for n in range(2):
            await outlet.send(number(n))
        while not outlet.counts().refused:  # until they know each other it goes nowhere
            receiver.send("sender", forged)
            await asyncio.sleep(0.005)
        assert outlet.counts().in_flight == 2
        receiver.send("sender", [(2).to_bytes(8, "little")])
        await outlet.drain()
        assert outlet.counts().received == 2
        outlet.close()
        receiver.close()
        context.term()

    asyncio.run(asyncio.wait_for(drive(), 30))


class Stuck(Outlet):
    """An outlet whose receiver consumes only when told to."""

    def _transmit(self, message: Message) -> None:
        pass


@pytest.mark.parametrize(
    ("policies", "room"),
    [
        (("drop-oldest", "drop-oldest"), True),  # a stuck film must not hold up who finds the faces
        (("drop-oldest", "block"), False),
        (("block", "drop-oldest"), False),
    ],
)
def test_there_is_room_unless_somebody_would_wait_or_everybody_would_drop(
    policies: tuple[Any, Any], room: bool
) -> None:
    """The second of two receivers is stuck; then both are, until the first has consumed."""

    async def drive() -> None:
        output = Output("stage", "out", Number, source=True)
        first, second = (Stuck(Queue(size=1, policy=policy), FakeClock()) for policy in policies)
        output.outlets[LinkId("stage", "out", "first", "in")] = first
        output.outlets[LinkId("stage", "out", "second", "in")] = second
        for value in range(2):  # one under way, one that waits
            await second.send(number(value))
        waiting = asyncio.create_task(output.writable("s"))
        await settle()
        assert waiting.done() == room
        if not room:
            second.acknowledge(1)
            await waiting
            return
        for value in range(2):
            await first.send(number(value))
        waiting = asyncio.create_task(output.writable("s"))
        await settle()
        assert not waiting.done()
        first.acknowledge(1)
        await waiting

    asyncio.run(drive())
