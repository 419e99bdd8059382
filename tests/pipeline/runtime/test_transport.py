"""runtime.transport: links over real sockets and inside a process lose nothing, wait where they must, and drain."""

import asyncio
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zmq

from emopipe.pipeline.clock import FakeClock, SystemClock, settle
from emopipe.pipeline.message import FOREVER, Message
from emopipe.pipeline.port import LinkId, Queue
from emopipe.pipeline.runtime.output import Output
from emopipe.pipeline.runtime.transport import Inbox, Inlet, LocalInlet, LocalOutlet, Outlet, ZmqInlet, ZmqOutlet
from tests.support.toy_stages import Number

CLOCK = SystemClock()


class Ends:
    """Both ends of one link, and a receiver that takes from the inbox."""

    def __init__(self, queue: Queue, how: str, tmp_path: Path) -> None:
        self.inbox: Inbox = asyncio.Queue()
        self.context = zmq.Context()
        self.inlet: Inlet
        self.outlet: Outlet
        arguments = ("numbers", "receiver", self.inbox, CLOCK, queue.window)
        if how == "local":
            local = LocalInlet(*arguments)
            self.inlet, self.outlet = local, LocalOutlet(queue, CLOCK, local)
            return
        endpoint = f"ipc://{tmp_path}/link" if how == "ipc" else "tcp://127.0.0.1:*"
        remote = ZmqInlet(*arguments, context=self.context, endpoint=endpoint, payload=Number)
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
        inlet = LocalInlet("numbers", "receiver", asyncio.Queue(), clock, 1)
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
            inlet = LocalInlet("numbers", name, inbox, CLOCK, 1)
            await LocalOutlet(Queue(), CLOCK, inlet).send(shared)
        stages = [(await inbox.get())[1].trace[-1].stage for _ in range(2)]
        assert stages == ["one", "two"]
        assert shared.trace == []

    asyncio.run(drive())


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
