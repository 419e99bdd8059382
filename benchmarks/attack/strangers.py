"""Strangers who have no key and no token, and try what one can: run on another host by `benchmarks.attack`.

python -m benchmarks.attack.strangers KIND HOST PORT SECONDS CONNECTIONS SERVER_KEY      prints what came of it, as JSON
"""

import asyncio
import contextlib
import json
import logging
import os
import resource
import ssl
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

import zmq

CONCURRENCY = 200  # connections that one kind tries at the same time
CONNECT_TIMEOUT_S = 3.0
TAKEN = (b"happy", b"emotions/", b"faces")  # what results are made of, as anybody could read it
CURVE_GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x01" + b"CURVE".ljust(20, b"\0") + bytes(32)
HELLO = b"\x04\xc8\x05HELLO\x01\x00"

Found = Counter[str]


class Strangers:
    """Connections to one address until a time is over, `most` of them.

    Attributes:
        address: host and port.
        found: what came of them: connections that came about, bytes sent and read, results that were read.
    """

    def __init__(self, host: str, port: int, seconds: float, most: int) -> None:
        self.found: Found = Counter()
        self.address = host, port
        self.most = most
        self._end = asyncio.get_running_loop().time() + seconds

    @property
    def over(self) -> bool:
        return asyncio.get_running_loop().time() >= self._end

    async def each(
        self,
        do: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
        concurrency: int = CONCURRENCY,
    ) -> None:
        """Do something with each of as many connections as come about in the time, many at once."""

        async def work() -> None:
            while not self.over and self.found["connected"] < self.most:
                try:
                    async with asyncio.timeout(CONNECT_TIMEOUT_S):
                        reader, writer = await asyncio.open_connection(*self.address)
                except OSError:
                    self.found["not connected"] += 1
                    continue
                self.found["connected"] += 1
                try:
                    async with asyncio.timeout_at(self._end):
                        await do(reader, writer)
                        self.found["ended by the server"] += 1
                except TimeoutError:
                    self.found["held to the end"] += 1
                except (OSError, asyncio.IncompleteReadError):
                    self.found["ended by the server"] += 1
                finally:
                    writer.transport.abort()

        await asyncio.gather(*(work() for _ in range(min(concurrency, self.most))))

    async def read(self, reader: asyncio.StreamReader) -> None:
        """Read whatever comes until the server ends the connection."""
        while data := await reader.read(1 << 16):
            self.found["bytes read"] += len(data)
            self.found["results read"] += any(word in data for word in TAKEN)

    def send(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(data)
        self.found["bytes sent"] += len(data)


async def silent(strangers: Strangers) -> None:
    """Connect, and hold what one has."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await strangers.read(reader)

    await strangers.each(hold, concurrency=strangers.most)


async def noise(strangers: Strangers) -> None:
    """Send random bytes as fast as they are taken."""

    async def shout(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        listening = asyncio.create_task(strangers.read(reader))
        try:
            while not listening.done():
                strangers.send(writer, os.urandom(1 << 16))
                await writer.drain()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    await strangers.each(shout)


async def greetings(strangers: Strangers) -> None:
    """Begin ZeroMQ's encrypted handshake with a first command that nobody's key fits."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        strangers.send(writer, CURVE_GREETING + HELLO + os.urandom(200 - 8))
        await strangers.read(reader)

    await strangers.each(greet)


async def handshakes(strangers: Strangers) -> None:
    """Begin to encrypt, and stop in the middle."""
    context = ssl.create_default_context()

    async def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        half = context.wrap_bio(incoming, outgoing, server_hostname="desk")
        try:
            half.do_handshake()
        except ssl.SSLWantReadError:
            strangers.send(writer, outgoing.read())
        await strangers.read(reader)

    await strangers.each(begin)


async def requests(strangers: Strangers) -> None:
    """Ask the page for results, without a token and without end."""
    trusting = ssl.create_default_context()
    trusting.check_hostname = False
    trusting.verify_mode = ssl.CERT_NONE

    async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writer.start_tls(trusting)
        host, port = strangers.address
        listening = asyncio.create_task(strangers.read(reader))
        try:
            while not (listening.done() or writer.is_closing()):
                await asyncio.sleep(0)  # what is written to a lost connection would keep the loop to itself
                for path in ("/", "/results", "/streams", "/results?session=guess", "/whip"):
                    strangers.send(writer, f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
                await writer.drain()
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)

    await strangers.each(ask)


async def sockets(strangers: Strangers, server: bytes, *, encrypted: bool) -> None:
    """Subscribe, and send, with ZeroMQ itself: with keys of one's own, which nobody has allowed, or with none."""
    context = zmq.Context()
    made = []
    for number in range(min(50, strangers.most)):
        socket = context.socket(zmq.SUB if number % 2 else zmq.DEALER)
        socket.linger = 0
        socket.setsockopt(zmq.RECONNECT_IVL, 20)
        if encrypted:
            socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
            socket.curve_serverkey = server
        if number % 2:
            socket.subscribe(b"")
        host, port = strangers.address
        socket.connect(f"tcp://{host}:{port}")
        made.append(socket)
    while not strangers.over:
        for number, socket in enumerate(made):
            # Without waiting: a refused connection ends at any moment, and its room to send with it.
            with contextlib.suppress(zmq.Again):
                socket.recv_multipart(zmq.NOBLOCK)
                strangers.found["results read"] += 1
            if number % 2 == 0:
                with contextlib.suppress(zmq.Again):
                    socket.send(b"\1emotions/", zmq.NOBLOCK)
                    strangers.found["bytes sent"] += 10
        await asyncio.sleep(0.05)
    context.destroy(0)


async def attack(kind: str, strangers: Strangers, server: bytes) -> None:
    match kind:
        case "keys":
            await sockets(strangers, server, encrypted=True)
        case "plain":
            await sockets(strangers, server, encrypted=False)
        case _:
            await KINDS[kind](strangers)


KINDS = {each.__name__: each for each in (silent, noise, greetings, handshakes, requests)}


def main() -> None:
    kind, host, port, seconds, connections, server = sys.argv[1:]
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    logging.getLogger("asyncio").setLevel(logging.ERROR)  # of each write to a connection that is lost

    async def run() -> Found:
        strangers = Strangers(host, int(port), float(seconds), int(connections))
        await attack(kind, strangers, server.encode())
        return strangers.found

    print(json.dumps(asyncio.run(run())))


if __name__ == "__main__":
    main()
