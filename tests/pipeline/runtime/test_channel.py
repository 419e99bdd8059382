"""runtime.channel: who binds hears its known peers, and of everybody else only that they were there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import zmq
import zmq.asyncio

from emopipe.pipeline.access.keys import KeyPair
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.runtime.channel import (
    MAX_PART_BYTES,
    MESSAGES_PER_WAKEUP,
    Access,
    BoundChannel,
    ConnectedChannel,
    Endpoint,
    new_key,
)
from tests.support.waiting import until

KEY = new_key()


class Peers:
    """A bound channel that knows one peer, `friend`, with what it has heard; and sockets that come to it."""

    def __init__(self, path: Path) -> None:
        self.context = zmq.Context()
        self.heard: list[tuple[str, list[bytes]]] = []
        self.answers: list[bytes] = []
        self.bound = BoundChannel(
            self.context,
            f"ipc://{path}/socket",
            {KEY: "friend"},
            lambda name, parts: self.heard.append((name, [bytes(part) for part in parts])),
            window=4,
        )
        self._strangers = zmq.asyncio.Context()

    def friend(self) -> ConnectedChannel:
        endpoint = Endpoint(self.bound.address, KEY)
        return ConnectedChannel(self.context, endpoint, lambda parts: self.answers.append(bytes(parts[0])))

    def stranger(self, kind: int = zmq.DEALER, name: bytes = b"") -> "zmq.asyncio.Socket":
        socket = self._strangers.socket(kind)
        socket.linger = 0
        if name:
            socket.setsockopt(zmq.ROUTING_ID, name)
        if kind == zmq.ROUTER:
            socket.setsockopt(zmq.CONNECT_ROUTING_ID, b"you")
        socket.connect(self.bound.address)
        return socket

    def close(self) -> None:
        self.bound.close()
        self._strangers.destroy()
        self.context.destroy()


@asynccontextmanager
async def peers(path: Path) -> AsyncIterator[Peers]:
    made = Peers(path)
    try:
        async with asyncio.timeout(30):
            yield made
    finally:
        made.close()


@pytest.mark.parametrize(
    "name",
    [b"", b"friend", b"x" * 255, KEY.encode()[:-1], KEY.upper().encode()],
    ids=["", "friend", "long", "cut", "upper"],
)
@pytest.mark.parametrize("kind", [zmq.DEALER, zmq.REQ, zmq.ROUTER])
def test_messages_of_strangers_are_counted_and_not_heard(name: bytes, kind: int, tmp_path: Path) -> None:
    async def drive() -> None:
        async with peers(tmp_path) as made:
            stranger = made.stranger(kind, name)
            for parts in ([b""], [b"forged"], [b"a", b"", b"c" * 100_000]):
                await stranger.send_multipart([b"you", *parts] if kind == zmq.ROUTER else parts)
                if kind == zmq.REQ:
                    break  # it waits for an answer now
            await until(lambda: made.bound.refused == (1 if kind == zmq.REQ else 3))
            friend = made.friend()
            friend.send([b"true"])
            await until(lambda: bool(made.heard))
            assert made.heard == [("friend", [b"true"])]
            friend.close()

    asyncio.run(drive())


def test_answers_go_to_the_peer_alone_however_many_connect(tmp_path: Path) -> None:
    async def drive() -> None:
        async with peers(tmp_path) as made:
            strangers = [made.stranger() for _ in range(5)]
            for stranger in strangers:
                await stranger.send(b"me too")
            friend = made.friend()
            friend.send([b"hello"])
            await until(lambda: bool(made.heard) and made.bound.refused == 5)
            for number in range(50):
                made.bound.send("friend", [b"%d" % number])
            await until(lambda: len(made.answers) == 50)
            assert made.answers == [b"%d" % number for number in range(50)]
            assert [await stranger.poll(0) for stranger in strangers] == [0] * 5
            friend.close()

    asyncio.run(drive())


def test_a_flood_neither_stops_the_loop_nor_the_peer_nor_piles_up(tmp_path: Path) -> None:
    async def drive() -> None:
        async with peers(tmp_path) as made:
            flood = made.stranger()
            flood.set_hwm(10_000)
            friend = made.friend()
            for _ in range(20 * MESSAGES_PER_WAKEUP):
                await flood.send(b"junk" * 1000)
            friend.send([b"still here"])
            await until(lambda: bool(made.heard))
            await until(lambda: made.bound.refused == 20 * MESSAGES_PER_WAKEUP)
            assert made.heard == [("friend", [b"still here"])]
            friend.close()

    asyncio.run(drive())


def test_a_peer_that_comes_back_is_known_again(tmp_path: Path) -> None:
    async def drive() -> None:
        async with peers(tmp_path) as made:
            first = made.friend()
            first.send([b"one"])
            await until(lambda: len(made.heard) == 1)
            second = made.friend()  # the first has not even gone
            second.send([b"two"])
            await until(lambda: len(made.heard) == 2)
            made.bound.send("friend", [b"welcome"])
            await until(lambda: made.answers == [b"welcome"])
            assert made.heard == [("friend", [b"one"]), ("friend", [b"two"])]
            first.close()
            second.close()

    asyncio.run(drive())


def test_a_part_that_no_peer_would_take_is_refused_where_it_is_sent(tmp_path: Path) -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return MAX_PART_BYTES + 1

    async def drive() -> None:
        async with peers(tmp_path) as made:
            friend = made.friend()
            with pytest.raises(ValueError, match="is too large for a link"):
                friend.send([b"header", Huge()])
            friend.close()

    asyncio.run(drive())


def test_a_socket_that_cannot_be_bound_leaves_nothing_behind(tmp_path: Path) -> None:
    async def drive() -> None:
        context = zmq.Context()
        where = f"ipc://{tmp_path}/no/such/folder"
        with pytest.raises(EmopipeError, match=f"{where} cannot be bound: No such file or directory"):
            BoundChannel(context, where, {KEY: "friend"}, lambda name, parts: None, window=4)
        context.term()  # it would wait for ever for a socket that is open

    asyncio.run(asyncio.wait_for(drive(), 30))


# -- between hosts -------------------------------------------------------------------------------------------


def test_between_hosts_a_peer_is_known_by_its_public_key(tmp_path: Path) -> None:
    """Who has another key that is allowed cannot speak for it, by whatever name they come."""
    host, friend, other, foe = (KeyPair.new() for _ in range(4))

    async def drive() -> None:
        context = zmq.Context()
        heard: list[tuple[str, bytes]] = []
        happened: dict[str, list[int]] = {"friend": [], "liar": [], "foe": []}
        peers = {friend.public: "friend", other.public: "other"}
        bound = BoundChannel(
            context,
            "tcp://127.0.0.1:*",
            peers,
            lambda name, parts: heard.append((name, bytes(parts[0]))),
            window=4,
            access=Access(host, tmp_path / "socket"),
        )

        def connect(who: str, key: KeyPair, name: KeyPair) -> ConnectedChannel:
            endpoint = Endpoint(bound.address, name.public, host.public)
            told = happened[who].append
            made = ConnectedChannel(context, endpoint, lambda parts: None, pair=key, happened=told)
            made.send([who.encode()])
            return made

        channels = [connect("liar", other, foe)]
        await until(lambda: bound.refused == 1)
        channels.append(connect("foe", foe, foe))
        await until(lambda: zmq.EVENT_HANDSHAKE_FAILED_AUTH in happened["foe"])
        channels.append(connect("friend", friend, friend))
        await until(lambda: heard)
        assert heard == [("friend", b"friend")]
        assert happened["friend"] == [zmq.EVENT_HANDSHAKE_SUCCEEDED]
        assert bound.refused == 2
        bound.close()
        await until(lambda: zmq.EVENT_DISCONNECTED in happened["friend"])
        for channel in channels:
            channel.close()
        context.term()

    asyncio.run(asyncio.wait_for(drive(), 30))
