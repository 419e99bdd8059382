"""memory.links over real sockets: arrays stay where they are, as long as anybody looks at them, and no longer."""

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import zmq

from emopipe.pipeline.clock import SystemClock
from emopipe.pipeline.memory.mapping import Mapping
from emopipe.pipeline.memory.pool import LARGE_ARRAY_BYTES, POOL_BYTES, SlotPool
from emopipe.pipeline.message import Codec, Message, WireError
from emopipe.pipeline.port import LinkId, Queue
from emopipe.pipeline.runtime.channel import BoundChannel, Endpoint, new_key
from emopipe.pipeline.runtime.transport import Inbox, ZmqInlet, ZmqOutlet
from tests.support.toy_stages import Number

CLOCK = SystemClock()
QUEUE = Queue(size=4)
LARGE = 3 * LARGE_ARRAY_BYTES


class Receiver:
    """The receiving end of a link, whose messages are consumed as they are taken."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], path: Path) -> None:
        self.inbox: Inbox = asyncio.Queue()
        self.inlet = ZmqInlet(
            LinkId("sender", "numbers", path.name, "numbers"),
            self.inbox,
            CLOCK,
            QUEUE.window,
            context=context,
            address=f"ipc://{path}",
            payload=Number,
        )

    async def take(self) -> Message:
        _, message = await self.inbox.get()
        self.inlet.consumed()
        self.inlet.acknowledge()
        return message


class Link:
    """A sender whose large arrays stay in its pool, with one receiver or several."""

    def __init__(self, folder: Path, receivers: int = 1, size: int = POOL_BYTES) -> None:
        self.context = zmq.Context()
        self.warnings: list[str] = []
        self.pool = SlotPool(self.warnings.append, size)
        self.receivers = [Receiver(self.context, folder / f"r{number}") for number in range(receivers)]
        self.outlets = [self.outlet(receiver) for receiver in self.receivers]
        self.sent = 0

    def outlet(self, receiver: Receiver) -> ZmqOutlet:
        return ZmqOutlet(
            QUEUE, CLOCK, context=self.context, endpoint=receiver.inlet.endpoint, payload=Number, pool=self.pool
        )

    async def hop(self, size: int = LARGE) -> list[Message]:
        """Send one message to everybody; what has arrived, with the acknowledgements back."""
        message = number(self.sent, size)
        self.sent += 1
        for outlet in self.outlets:
            await outlet.send(message)
        taken = [await receiver.take() for receiver in self.receivers]
        for outlet in self.outlets:
            await outlet.drain()
        return taken

    async def begin(self) -> None:
        """Hop until the receivers have mapped the memory."""
        while not self.pool.used:
            await self.hop()

    async def settle(self, used: int) -> None:
        """Hop with small arrays, so that acknowledgements go, until so many slots are in use."""
        while self.pool.used != used:
            await self.hop(1)

    def close(self) -> None:
        for receiver in self.receivers:
            receiver.inlet.close()
        for outlet in self.outlets:
            outlet.close()
        self.context.term()
        self.pool.close()


def number(value: int, size: int) -> Message:
    payload = Number(value=value, ballast=np.full(size, value % 251, np.uint8))
    return Message(kind="data", stream="s", seq=value, pts=value, watermark=value + 1, type="Number", payload=payload)


def right(message: Message) -> bool:
    return bool((message.payload.ballast == message.payload.value % 251).all())


def stays(message: Message) -> bool:
    """Whether the array lies in the sender's memory: a copy has that of a ZeroMQ frame."""
    base = message.payload.ballast
    while isinstance(base, np.ndarray):
        base = base.base
    return not isinstance(base, memoryview)


@contextmanager
def linked(folder: Path, receivers: int = 1, size: int = POOL_BYTES) -> Iterator[Link]:
    """A link that is made in the event loop that runs."""
    link = Link(folder, receivers, size)
    try:
        yield link
    finally:
        link.close()


def run(work: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        async with asyncio.timeout(60):
            await work()

    asyncio.run(within())


def test_large_arrays_stay_and_small_ones_travel(tmp_path: Path) -> None:
    async def work() -> None:
        with linked(tmp_path) as link:
            await link.begin()
            for size, kept in [(LARGE, True), (LARGE_ARRAY_BYTES, True), (LARGE_ARRAY_BYTES - 1, False), (0, False)]:
                (message,) = await link.hop(size)
                assert right(message)
                assert message.payload.ballast.size == size
                assert stays(message) is kept
                assert not message.payload.ballast.flags.writeable
            assert link.warnings == []

    run(work)


def test_a_picture_that_is_kept_stays_what_it_was_and_its_slot_comes_back_afterwards(tmp_path: Path) -> None:
    async def work() -> None:
        with linked(tmp_path) as link:
            await link.begin()
            (message,) = await link.hop()
            assert stays(message)
            value, kept = message.payload.value, message.payload.ballast.reshape(3, -1)[1:, ::7]  # of a part of it
            del message
            for _ in range(3 * QUEUE.size):  # acknowledged long ago
                assert right((await link.hop())[0])
            assert (kept == value % 251).all()
            used = link.pool.used
            await link.settle(1)
            assert used > 1
            del kept
            await link.settle(0)

    run(work)


def test_a_picture_may_be_let_go_of_in_any_thread(tmp_path: Path) -> None:
    async def work() -> None:
        with linked(tmp_path) as link:
            await link.begin()
            kept = [message for _ in range(3) for message in await link.hop()]
            thread = threading.Thread(target=kept.clear)
            thread.start()
            thread.join()
            await link.settle(0)

    run(work)


def test_a_picture_for_several_has_one_slot_and_lasts_for_the_slowest(tmp_path: Path) -> None:
    async def work() -> None:
        with linked(tmp_path, receivers=3) as link:
            await link.begin()
            while not all(map(stays, messages := await link.hop())):
                pass
            await link.settle(1)  # what `messages` holds
            slow = messages.pop()
            messages.clear()
            for _ in range(5):
                assert all(map(right, await link.hop()))
            assert right(slow)
            await link.settle(1)
            del slow
            await link.settle(0)

    run(work)


def test_where_no_slot_is_free_arrays_travel_and_nobody_waits(tmp_path: Path) -> None:
    async def work() -> None:
        with linked(tmp_path, size=2 * LARGE) as link:
            await link.begin()
            kept = [message for _ in range(9) for message in await link.hop()]
            assert all(map(right, kept))
            assert sum(map(stays, kept)) in (1, 2)
            assert link.warnings == []
            kept.clear()
            await link.settle(0)
            assert stays((await link.hop())[0])

    run(work)


def test_a_receiver_that_cannot_map_is_sent_copies_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Mapping, path: Path, released: Callable[[int], None]) -> None:
        raise PermissionError(13, "Permission denied", path)

    async def work() -> None:
        with linked(tmp_path) as link:
            for _ in range(20):
                (message,) = await link.hop()
                assert right(message)
                assert not stays(message)
            (warning,) = link.warnings
            assert "pictures are copied from process to process" in warning
            assert warning.endswith("Permission denied")

    monkeypatch.setattr(Mapping, "__init__", refuse)
    run(work)


def test_a_dead_receiver_holds_nothing_and_the_next_one_maps_anew(tmp_path: Path) -> None:
    async def work() -> None:
        with linked(tmp_path) as link:
            await link.begin()
            kept = await link.hop()
            assert stays(kept[0])
            (outlet,) = link.outlets
            outlet.cut()
            assert link.pool.used == 0
            link.receivers[0].inlet.close()
            link.receivers = [Receiver(link.context, tmp_path / "next")]
            outlet.reconnect(link.receivers[0].inlet.endpoint, {})
            while not stays((await link.hop())[0]):
                pass
            await link.settle(0)

    run(work)


def test_what_a_dead_sender_had_sent_can_still_be_read(tmp_path: Path) -> None:
    async def work() -> None:
        with linked(tmp_path) as link:
            await link.begin()
            (message,) = await link.hop()
            assert stays(message)
            link.outlets[0].close()
            link.pool.close()
            gc.collect()
            assert right(message)

    run(work)


@pytest.mark.parametrize(
    "released", [b"\1" + bytes(7), bytes(8) * 2, bytes(7), b"\xff" * 8], ids=["other", "twice", "cut", "far"]
)
def test_slots_that_the_receiver_cannot_have_held_are_counted_and_stay_held(released: bytes, tmp_path: Path) -> None:
    async def work() -> None:
        context, key, pool = zmq.Context(), new_key(), SlotPool(lambda text: None)
        offered = asyncio.Event()
        address = f"ipc://{tmp_path}/link"
        receiver = BoundChannel(context, address, {key: "sender"}, lambda name, parts: offered.set(), window=8)
        endpoint = Endpoint(receiver.address, key)
        outlet = ZmqOutlet(QUEUE, CLOCK, context=context, endpoint=endpoint, payload=Number, pool=pool)
        await outlet.send(number(0, LARGE))
        await offered.wait()
        receiver.send("sender", [b"mapped"])
        receiver.send("sender", [(1).to_bytes(8, "little")])
        await outlet.drain()
        await outlet.send(number(1, LARGE))
        assert pool.used == 1
        receiver.send("sender", [(2).to_bytes(8, "little"), released])
        receiver.send("sender", [(2).to_bytes(8, "little"), bytes(8), bytes(8)])
        receiver.send("sender", [b"mapped"])
        while outlet.counts().refused < 3:
            await asyncio.sleep(0)
        assert (pool.used, outlet.counts().in_flight) == (1, 1)
        receiver.send("sender", [(2).to_bytes(8, "little"), bytes(8)])
        await outlet.drain()
        assert pool.used == 0
        outlet.close()
        receiver.close()
        context.term()
        pool.close()

    run(work)


def test_an_offset_outside_of_the_memory_or_where_nothing_is_shared_is_no_message(tmp_path: Path) -> None:
    pool = SlotPool(lambda text: None, size=2 * LARGE)
    file = pool.file()
    mapping = Mapping(Path(f"/proc/self/fd/{file}"), lambda offset: None)
    for offset in (LARGE + 1, 2 * LARGE, 2**62):
        parts = Codec(Number, place=lambda array, at=offset: at).encode(number(1, LARGE))
        with pytest.raises(WireError, match="of shared memory"):
            Codec(Number, view=mapping.view).decode(parts)
        with pytest.raises(WireError, match="not a message of type 'Number'"):
            Codec(Number).decode(parts)
    pool.close()
