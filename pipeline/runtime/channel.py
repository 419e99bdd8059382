"""ZeroMQ sockets in the running event loop, between processes that know each other.

Who binds knows its peers by their keys, which travel where only they can read: what comes without a known key is
dropped unread, and counted. Sockets lie in a private folder besides (`emopipe.pipeline.access.folder`), or, between
hosts, take CURVE keys: there a peer's key is its public one.
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import zmq

from emopipe.pipeline.access.curve import CurveServer, be_client
from emopipe.pipeline.access.keys import KeyPair
from emopipe.pipeline.access.monitor import Monitor
from emopipe.pipeline.errors import EmopipeError

MAX_PART_BYTES = 1 << 29  # an RGB frame of 178 million pixels
MAX_ORDER_BYTES = 1 << 26  # of what is no link's payload: orders, reports, acknowledgements
MESSAGES_PER_WAKEUP = 100  # the event loop has other work too
FLUSH_TIMEOUT_MS = 500

Parts = Sequence[memoryview]
Context = zmq.Context[zmq.Socket[bytes]]


class Endpoint(msgspec.Struct, frozen=True):
    """Where a socket is bound, and by which key it knows its peer there.

    Between hosts that is the peer's public key, and `server` is that of who has bound it; else `server` is empty.
    """

    address: str
    key: str
    server: str = ""


class Access(NamedTuple):
    """What it takes to bind where other hosts reach it: who we are, and a path for the socket behind the gate."""

    pair: KeyPair
    path: Path


def new_key() -> str:
    """A key that nobody can guess."""
    return secrets.token_hex(16)


class Channel:
    """Base of both ends. Cheaper than zmq.asyncio's futures: one wake-up takes all that has arrived.

    High-water marks of what is sent are off: credits are the bound on a link, and nothing else is frequent. What a
    receiver's callback raises goes to the loop's exception handler.
    """

    def __init__(self, context: Context, kind: int) -> None:
        self._socket = context.socket(kind)
        self._socket.set_hwm(0)
        self._socket.linger = 0
        self._loop = asyncio.get_running_loop()
        self._descriptor = self._socket.fileno()
        self._looking = False  # whether it is to be looked at in the loop's next turn
        self._loop.add_reader(self._descriptor, self._readable)

    def close(self, *, flush: bool = False) -> None:
        """Close at once; what is still under way is lost, unless it is flushed for up to `FLUSH_TIMEOUT_MS`."""
        if not self._socket.closed:
            self._socket.linger = FLUSH_TIMEOUT_MS if flush else 0
            self._loop.remove_reader(self._descriptor)
            self._socket.close()

    def _take(self, frames: "list[zmq.Frame]") -> None:
        raise NotImplementedError

    def _send(self, parts: Sequence[Any]) -> None:
        """Send without waiting; large parts are not copied, so their arrays must not change any more."""
        if any(len(part) > MAX_PART_BYTES for part in parts):
            raise ValueError(f"a message of more than {MAX_PART_BYTES} bytes is too large for a link")
        self._socket.send_multipart(parts, zmq.NOBLOCK, copy=False)
        # ZeroMQ's descriptor is edge-triggered, and a send may have swallowed the edge.
        self._look_soon()

    def _look_soon(self) -> None:
        if not self._looking:
            self._looking = True
            self._loop.call_soon(self._look)

    def _look(self) -> None:
        self._looking = False
        # Asking costs less than the exception that says that there is nothing.
        if not self._socket.closed and int(self._socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN:
            self._readable()

    def _readable(self) -> None:
        for _ in range(MESSAGES_PER_WAKEUP):
            if self._socket.closed:
                return
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            try:
                self._take(frames)
            except Exception:
                self._look_soon()  # no new edge comes for what has arrived behind it
                raise
        self._look_soon()


class BoundChannel(Channel):
    """The end that binds.

    Args:
        address: where; a wildcard port is filled in.
        peers: what to call each peer, by its key.
        received: called with the name of the peer and the parts of each of its messages.
        window: how many messages of a peer may wait in the socket; others wait with it, and are lost when it ends.
        access: given where `address` is one that other hosts reach.
        most: bytes of each part of a message; who sends more is cut off.

    Attributes:
        address: where it is bound.

    Raises:
        EmopipeError: it cannot be bound.
    """

    def __init__(
        self,
        context: Context,
        address: str,
        peers: Mapping[str, str],
        received: Callable[[str, Parts], None],
        *,
        window: int,
        access: Access | None = None,
        most: int = MAX_PART_BYTES,
    ) -> None:
        self._own_context: Context | None = None if access is None else zmq.Context()
        super().__init__(self._own_context or context, zmq.ROUTER)
        self._peers = {key.encode(): name for key, name in peers.items()}
        self._keys = {name: key for key, name in self._peers.items()}
        self._received = received
        self._refused = 0
        self._server: CurveServer | None = None
        # Against strangers: what they send piles up with them, not here.
        self._socket.rcvhwm = window + 1
        self._socket.setsockopt(zmq.MAXMSGSIZE, most)
        # A peer that comes back is the same one; between hosts not before its old connection is known to be gone, or
        # one who is allowed could take the place of another.
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, int(access is None))
        try:
            self.address = self._bind(address, access)
        except BaseException:
            self.close()
            raise

    @property
    def refused(self) -> int:
        """Messages, and between hosts connections, of strangers."""
        return self._refused + (self._server.refused if self._server is not None else 0)

    def send(self, peer: str, parts: Sequence[Any]) -> None:
        """Send to one peer; to one that is not there (yet, or any more) it goes nowhere."""
        self._send([self._keys[peer], *parts])

    def close(self, *, flush: bool = False) -> None:
        super().close(flush=flush)
        if self._server is not None:
            self._server.close()
        if self._own_context is not None:
            self._own_context.term()

    def _bind(self, address: str, access: Access | None) -> str:
        if access is not None and self._own_context is not None:
            keys = {key.decode() for key in self._peers}
            self._server = CurveServer(self._own_context, self._socket, address, access.pair, keys, access.path)
            return self._server.address
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            raise EmopipeError(f"{address} cannot be bound: {zmq.strerror(error.errno or 0)}") from None
        bound = self._socket.getsockopt(zmq.LAST_ENDPOINT)
        assert isinstance(bound, bytes)
        return bound.rstrip(b"\0").decode()

    def _take(self, frames: "list[zmq.Frame]") -> None:
        key = frames[0].bytes
        peer = self._peers.get(key)
        if peer is None or (self._server is not None and frames[-1].get("User-Id") != key.decode()):
            self._refused += 1
        else:
            self._received(peer, [frame.buffer for frame in frames[1:]])


class ConnectedChannel(Channel):
    """The end that connects.

    Args:
        received: called with the parts of each message.
        pair: who we are, where the other end is on another host.
        happened: called with each event (`access.monitor.EVENTS`) of the connection, where that is wanted.
    """

    def __init__(
        self,
        context: Context,
        endpoint: Endpoint,
        received: Callable[[Parts], None],
        *,
        pair: KeyPair | None = None,
        happened: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__(context, zmq.DEALER)
        self._received = received
        self._socket.setsockopt(zmq.ROUTING_ID, endpoint.key.encode())
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_ORDER_BYTES)
        self._monitor = None if happened is None else Monitor(self._socket, happened)
        if pair is not None:
            be_client(self._socket, pair, endpoint.server)
            self._socket.setsockopt(zmq.IPV6, int("[" in endpoint.address))
        self._socket.connect(endpoint.address)

    def send(self, parts: Sequence[Any]) -> None:
        self._send(parts)

    def close(self, *, flush: bool = False) -> None:
        if self._monitor is not None:
            self._monitor.close()
            self._monitor = None
        super().close(flush=flush)

    def _take(self, frames: "list[zmq.Frame]") -> None:
        self._received([frame.buffer for frame in frames])
