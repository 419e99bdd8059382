"""ZeroMQ sockets in the running event loop, between processes that know each other.

Who binds knows its peers by their keys, which travel where only they can read: what comes without a known key is
dropped unread, and counted. Sockets lie in a private folder besides (`emopipe.pipeline.access.folder`).
"""

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
import zmq

from emopipe.pipeline.errors import EmopipeError

MAX_PART_BYTES = 1 << 29  # an RGB frame of 178 million pixels
MESSAGES_PER_WAKEUP = 100  # the event loop has other work too
FLUSH_TIMEOUT_MS = 500

Parts = Sequence[memoryview]
Context = zmq.Context[zmq.Socket[bytes]]


class Endpoint(msgspec.Struct, frozen=True):
    """Where a socket is bound, and by which key it knows its peer there."""

    address: str
    key: str


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
        self._loop.call_soon(self._readable)

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
                self._loop.call_soon(self._readable)  # no new edge comes for what has arrived behind it
                raise
        self._loop.call_soon(self._readable)


class BoundChannel(Channel):
    """The end that binds.

    Args:
        address: where; a wildcard port is filled in.
        peers: what to call each peer, by its key.
        received: called with the name of the peer and the parts of each of its messages.
        window: how many messages of a peer may wait in the socket; others wait with it, and are lost when it ends.

    Attributes:
        address: where it is bound.
        refused: messages of strangers.
    """

    def __init__(
        self,
        context: Context,
        address: str,
        peers: Mapping[str, str],
        received: Callable[[str, Parts], None],
        *,
        window: int,
    ) -> None:
        super().__init__(context, zmq.ROUTER)
        self._peers = {key.encode(): name for key, name in peers.items()}
        self._keys = {name: key for key, name in self._peers.items()}
        self._received = received
        self.refused = 0
        # Against strangers: what they send piles up with them, not here.
        self._socket.rcvhwm = window + 1
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_PART_BYTES)
        self._socket.setsockopt(zmq.ROUTER_HANDOVER, 1)  # a peer that comes back is the same one
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            self.close()
            raise EmopipeError(f"{address} cannot be bound: {zmq.strerror(error.errno or 0)}") from None
        bound = self._socket.getsockopt(zmq.LAST_ENDPOINT)
        assert isinstance(bound, bytes)
        self.address = bound.rstrip(b"\0").decode()

    def send(self, peer: str, parts: Sequence[Any]) -> None:
        """Send to one peer; to one that is not there (yet, or any more) it goes nowhere."""
        self._send([self._keys[peer], *parts])

    def _take(self, frames: "list[zmq.Frame]") -> None:
        peer = self._peers.get(frames[0].bytes)
        if peer is None:
            self.refused += 1
        else:
            self._received(peer, [frame.buffer for frame in frames[1:]])


class ConnectedChannel(Channel):
    """The end that connects; `received` is called with the parts of each message."""

    def __init__(self, context: Context, endpoint: Endpoint, received: Callable[[Parts], None]) -> None:
        super().__init__(context, zmq.DEALER)
        self._received = received
        self._socket.setsockopt(zmq.ROUTING_ID, endpoint.key.encode())
        self._socket.connect(endpoint.address)

    def send(self, parts: Sequence[Any]) -> None:
        self._send(parts)

    def _take(self, frames: "list[zmq.Frame]") -> None:
        self._received([frame.buffer for frame in frames])
