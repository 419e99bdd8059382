"""access.curve: who has an allowed key is heard; nobody else reads, injects, or stays."""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import zmq

from emopipe.pipeline.access import gate
from emopipe.pipeline.access.addresses import split_tcp
from emopipe.pipeline.access.curve import CurveServer, be_client
from emopipe.pipeline.access.keys import KeyPair
from emopipe.pipeline.errors import EmopipeError
from tests.support.waiting import until

HOST, FRIEND, FOE = (KeyPair.new() for _ in range(3))


class Endpoint:
    """A ROUTER behind keys, and who comes there."""

    def __init__(self, folder: Path) -> None:
        self._context, self._others = zmq.Context(), zmq.Context()
        self.socket = self._context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.server = CurveServer(
            self._context, self.socket, "tcp://127.0.0.1:*", HOST, {FRIEND.public}, folder / "socket"
        )

    def client(self, pair: KeyPair | None = FRIEND, host: str = HOST.public) -> "zmq.Socket[bytes]":
        client = self._others.socket(zmq.DEALER)
        client.linger = 0
        if pair is not None:
            be_client(client, pair, host)
        client.connect(self.server.address)
        return client

    def heard(self) -> list[zmq.Frame] | None:
        try:
            return self.socket.recv_multipart(zmq.NOBLOCK, copy=False)
        except zmq.Again:
            return None

    @property
    def connections(self) -> int:
        return len(self.server._gate.listener.connections)

    def close(self) -> None:
        self._others.destroy(0)
        self.socket.close()
        self.server.close()
        self._context.destroy(0)


@asynccontextmanager
async def endpoint(folder: Path) -> AsyncIterator[Endpoint]:
    made = Endpoint(folder)
    try:
        async with asyncio.timeout(60):
            yield made
    finally:
        made.close()
        await asyncio.sleep(0.01)  # for transports that are aborted


def test_who_has_an_allowed_key_is_heard_and_known_by_it(tmp_path: Path) -> None:
    async def drive() -> None:
        async with endpoint(tmp_path) as made:
            client = made.client()
            client.send_multipart([b"hello", b"x" * 3_000_000])
            sender, hello, large = await until(made.heard)
            assert (hello.bytes, len(large)) == (b"hello", 3_000_000)
            assert hello.get("User-Id") == FRIEND.public
            made.socket.send_multipart([sender.bytes, b"y" * 3_000_000])
            assert len(await until(lambda: client.poll(0) and client.recv())) == 3_000_000
            assert made.server.refused == 0

    asyncio.run(drive())


@pytest.mark.parametrize(
    ("pair", "host"),
    [(FOE, HOST.public), (FRIEND, FOE.public), (None, ""), (KeyPair(FRIEND.public, FOE.secret), HOST.public)],
    ids=["a key that is not allowed", "the wrong key of ours", "no key", "an allowed key without its secret"],
)
def test_nobody_else_is_heard_or_told_anything(pair: KeyPair | None, host: str, tmp_path: Path) -> None:
    async def drive() -> None:
        async with endpoint(tmp_path) as made:
            stranger = made.client(pair, host)
            stranger.send(b"injected")
            await until(lambda: made.server._gate.listener.taken)
            friend = made.client()
            friend.send(b"from a friend")
            _, text = await until(made.heard)
            assert text.bytes == b"from a friend"
            await until(lambda: made.connections == 1)  # the stranger's has been closed
            assert made.heard() is None
            assert stranger.poll(0) == 0
            assert (made.server.refused > 0) == (pair == FOE)

    asyncio.run(drive())


def test_what_passes_by_the_wire_cannot_be_read(tmp_path: Path) -> None:
    """Somebody between both sees neither a message nor who is who."""

    async def drive() -> None:
        async with endpoint(tmp_path) as made:
            passed = bytearray()
            inner = split_tcp(made.server.address)

            async def between(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                far_reader, far_writer = await asyncio.open_connection(*inner)

                async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
                    while data := await source.read(1 << 16):
                        passed.extend(data)
                        sink.write(data)
                    sink.close()

                await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer))

            listening = await asyncio.start_server(between, "127.0.0.1", 0)
            made.server.address = f"tcp://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            secret = secrets.token_bytes(500)
            client = made.client()
            client.send(secret)
            assert (await until(made.heard))[1].bytes == secret
            assert len(passed) > 500
            for private in (secret, FRIEND.public.encode(), FRIEND.secret.encode()):
                assert private[:16] not in passed
            client.close()
            listening.close()

    asyncio.run(drive())


@pytest.mark.parametrize("bytes_", [b"", b"\xff" * 10, b"GET / HTTP/1.1\r\n\r\n", b"\xff" + bytes(8) + b"\x7f\x03"])
def test_who_says_nothing_sensible_is_let_go(bytes_: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.pipeline.access.curve.HANDSHAKE_TIMEOUT_S", 0.2)

    async def drive() -> None:
        async with endpoint(tmp_path) as made:
            with socket.create_connection(split_tcp(made.server.address)) as stranger:
                stranger.sendall(bytes_)
                await until(lambda: made.server._gate.listener.taken == 1)
                await until(lambda: made.connections == 0)
            friend = made.client()
            friend.send(b"hello")
            await until(made.heard)

    asyncio.run(drive())


def test_strangers_hold_no_more_than_they_may_and_friends_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate, "MAX_STRANGERS", 5)
    monkeypatch.setattr(gate, "SETTLING_S", 0.0)

    async def drive() -> None:
        async with endpoint(tmp_path) as made:
            friend = made.client()
            friend.send(b"hello")
            await until(made.heard)
            monkeypatch.setattr(gate, "SETTLING_S", 60.0)
            strangers = [socket.create_connection(split_tcp(made.server.address)) for _ in range(40)]
            await until(lambda: made.server._gate.listener.taken == 41)
            await until(lambda: made.connections == 6)
            friend.send(b"still here")
            assert (await until(made.heard))[1].bytes == b"still here"
            for stranger in strangers:
                stranger.close()

    asyncio.run(drive())


def test_an_address_in_use_leaves_nothing_behind(tmp_path: Path) -> None:
    async def drive() -> None:
        async with endpoint(tmp_path) as made:
            with zmq.Context() as context, context.socket(zmq.ROUTER) as second:
                with pytest.raises(EmopipeError, match="is in use"):
                    CurveServer(context, second, made.server.address, HOST, {FRIEND.public}, tmp_path / "second")
        assert not (tmp_path / "second").exists()

    asyncio.run(drive())
