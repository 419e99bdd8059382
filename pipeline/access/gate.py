"""Stands between the network and a ZeroMQ socket, which by itself takes as many connections as come.

ZeroMQ accepts in a thread of its own, has no limit, and keeps a descriptor and some 5 kB of each stranger until its
handshake times out; where descriptors run out it spins. So the socket itself is bound where nobody else reaches it, and
the gate passes bytes on, both ways, as they come: what is encrypted stays so.
"""

import asyncio
import socket
from typing import cast

from emopipe.pipeline.access.listener import Connection, Listener

HANDSHAKE_TIMEOUT_S = 5.0  # after which ZeroMQ lets go of who has not shown a key that is allowed
SETTLING_S = 6.0  # after which who is still there has shown one
MAX_CONNECTIONS = 256
MAX_STRANGERS = 64  # connections that have not shown a key yet
BUFFER_BYTES = 1 << 18  # that wait on the way out; more waits with ZeroMQ, where a slow subscriber loses messages
LINGER_S = 0.3  # that the last of them have to leave
KEEPALIVE_S = 10  # s of silence after which the system asks whether the other host is still there


class Gate:
    """Passes what comes to `bound` on to the Unix socket at `path`, in the running event loop.

    Attributes:
        listener: counts who came and who was refused.
    """

    def __init__(self, bound: socket.socket, path: str) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self.listener = Listener(bound, self._serve, most=MAX_CONNECTIONS, most_silent=MAX_STRANGERS)

    async def drained(self) -> None:
        """Wait, but not for long, until everything has left; ZeroMQ's end of each connection has to be closed."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=LINGER_S)

    def close(self) -> None:
        """Let go of everybody."""
        self.listener.close()
        for task in self._tasks:
            task.cancel()

    def _serve(self, connection: Connection) -> None:
        task = self._loop.create_task(self._pass_on(connection))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass_on(self, connection: Connection) -> None:
        settling = self._loop.call_later(SETTLING_S, connection.settle)
        outer, inner = _Side(self._loop), _Side(self._loop)
        outer.other, inner.other = inner, outer
        try:
            await self._loop.create_unix_connection(lambda: inner, self._path)
            _keep_alive(connection.socket)
            await self._loop.connect_accepted_socket(lambda: outer, connection.socket)
            for side in (outer, inner):
                side.begin()
            await asyncio.wait([outer.closed, inner.closed], return_when=asyncio.FIRST_COMPLETED)
            for side in (outer, inner):
                side.transport.close()  # once what waits there has left
            await asyncio.wait([outer.closed, inner.closed], timeout=LINGER_S)
        except OSError:
            return  # the peer has gone, or the socket behind us is closed: a connection that did not come about
        finally:
            settling.cancel()
            for side in (outer, inner):
                side.abort()
            connection.socket.close()


class _Side(asyncio.Protocol):
    """One side of a connection: what comes here goes out at the other, no faster than that takes it."""

    other: "_Side"

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.closed: asyncio.Future[None] = loop.create_future()
        self._early: list[bytes] = []
        self._begun = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.set_write_buffer_limits(BUFFER_BYTES)
        self.transport.pause_reading()  # until the other side is there

    def begin(self) -> None:
        """Both sides are there."""
        self._begun = True
        for data in self._early:
            self.other.transport.write(data)
        self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        if not self._begun:  # uvloop, which Ray has, reads at first though it was told to pause
            self._early.append(data)
        elif not self.other.transport.is_closing():
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set_result(None)

    def abort(self) -> None:
        if hasattr(self, "transport"):
            self.transport.abort()


def _keep_alive(connected: socket.socket) -> None:
    """Have the system notice a host that is gone without a word."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S)
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
