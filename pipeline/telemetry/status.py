"""How a run is doing, for those who watch it: a viewer asks for a snapshot, and gets one with the next second's.

All that is read from a viewer is that it asks; what it says is not looked at. Nobody waits for one: who does not take
what they have asked for gets no more. PUB and SUB would be simpler, but a PUB keeps every topic that a subscriber makes
up.

    with StatusServer(folder) as server:                            # in the supervisor
        server.publish(snapshot)

    with StatusViewer("ipc:///tmp/emopipe-run-x/status") as viewer:  # anywhere
        snapshot = viewer.next(timeout_s=3)
"""

import contextlib
import math
import time
from collections.abc import Container
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
import zmq

from emopipe.pipeline.access.addresses import split_tcp
from emopipe.pipeline.access.curve import CurveServer, be_client
from emopipe.pipeline.access.keys import KeyPair
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.report import SNAPSHOT_VERSION, RunSnapshot

STATUS_SOCKET = "status"  # in a run's folder
REMOTE_STATUS_SOCKET = "status-remote"  # where those from other machines are passed on to
STATUS_INTERVAL_S = 1.0
MAX_SNAPSHOT_BYTES = 1 << 26
MAX_REQUEST_BYTES = 1024  # of which a handshake takes some hundreds
MAX_REQUESTS = 1000  # taken a second; more wait with those who send them
ASK_AGAIN_S = 2.0  # without an answer: the run may have been too busy, or not there yet

Context = zmq.Context[zmq.Socket[bytes]]
Socket = zmq.Socket[bytes]

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(RunSnapshot).decode


class _Version(msgspec.Struct):
    version: int


_decode_version = msgspec.msgpack.Decoder(_Version).decode


class StatusServer:
    """Publishes snapshots in a run's folder, where this user's viewers find them, and to other machines' with keys.

    To be made in the running event loop.

    Args:
        folder: the run's own.
        address: `tcp://HOST:PORT` for those who have no way to the folder.
        keys: who we are there, and the public keys that are let in.

    Raises:
        EmopipeError: the address is in use, or not this machine's.
    """

    def __init__(
        self, folder: Path, address: str | None = None, keys: tuple[KeyPair, Container[str]] | None = None
    ) -> None:
        self._publishers = [_Publisher()]
        self._curve: CurveServer | None = None
        try:
            self._publishers[0].socket.bind(f"ipc://{folder / STATUS_SOCKET}")
            if address is not None and keys is not None:
                remote = _Publisher()
                self._publishers.append(remote)
                self._curve = CurveServer(remote.context, remote.socket, address, *keys, folder / REMOTE_STATUS_SOCKET)
        except BaseException:
            self.close()
            raise

    def publish(self, snapshot: RunSnapshot) -> None:
        """Send a snapshot to whoever has asked; never waits."""
        data = _encode(snapshot)
        for publisher in self._publishers:
            publisher.publish(data)

    def close(self) -> None:
        for publisher in self._publishers:
            publisher.socket.close()
        if self._curve is not None:
            self._curve.close()
        for publisher in self._publishers:
            publisher.context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Publisher:
    """A socket with a context of its own: strangers at one must not keep the other's thread busy."""

    def __init__(self) -> None:
        self.context: Context = zmq.Context()
        self.socket: Socket = self.context.socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.sndhwm = 1  # of each viewer
        self.socket.rcvhwm = 10  # likewise; with 1 it would not even take who they are
        self.socket.setsockopt(zmq.MAXMSGSIZE, MAX_REQUEST_BYTES)

    def publish(self, data: bytes) -> None:
        """Send to all who have asked since the last call."""
        asking = set()
        with contextlib.suppress(zmq.Again):
            for _ in range(MAX_REQUESTS):
                asking.add(self.socket.recv_multipart(zmq.NOBLOCK)[0])
        for viewer in asking:
            self.socket.send_multipart([viewer, data], zmq.NOBLOCK)  # to one that is gone it goes nowhere


class StatusViewer:
    """Takes the snapshots of one run.

    Args:
        address: `ipc://PATH`, or with keys `tcp://HOST:PORT`.
        keys: who we are, and the run's public key.

    Raises:
        EmopipeError: the address is none.
    """

    def __init__(self, address: str, keys: tuple[KeyPair, str] | None = None) -> None:
        if not address.startswith("ipc://"):
            try:
                split_tcp(address)
            except ValueError as error:
                raise EmopipeError(str(error)) from None
        self.address = address
        self._context: Context = zmq.Context()
        self._socket: Socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._asked = -math.inf  # when, and no answer has come since
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_SNAPSHOT_BYTES)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 100)
        if keys is not None:
            be_client(self._socket, *keys)
        try:
            self._socket.connect(address)
        except zmq.ZMQError as error:
            self.close()
            raise EmopipeError(f"{address}: {error.strerror}") from None

    def next(self, timeout_s: float) -> RunSnapshot | None:
        """The next snapshot; None if none comes in time.

        Raises:
            EmopipeError: what comes is no snapshot, or of another version.
        """
        deadline = time.monotonic() + timeout_s
        while not self._socket.poll(max(0, round(1000 * min(self._ask(), deadline - time.monotonic())))):
            if time.monotonic() >= deadline:
                return None
        self._asked = -math.inf
        data = self._socket.recv()
        try:
            version = _decode_version(data).version
            if version != SNAPSHOT_VERSION:
                raise EmopipeError(
                    f"{self.address}: the run speaks version {version} of the status format, this emopipe "
                    f"{SNAPSHOT_VERSION}; use the emopipe that runs it"
                )
            return _decode(data)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise EmopipeError(f"{self.address}: what comes from there is no status of a run: {error}") from None

    def _ask(self) -> float:
        """Ask for a snapshot, if that was not done lately; the time (s) until it is to be done again."""
        now = time.monotonic()
        if now - self._asked >= ASK_AGAIN_S:
            self._asked = now
            with contextlib.suppress(zmq.Again):  # as long as nobody takes any
                self._socket.send(b"", zmq.NOBLOCK)
        return self._asked + ASK_AGAIN_S - now

    def pair(self, timeout_s: float) -> tuple[RunSnapshot, RunSnapshot] | None:
        """Two snapshots in a row, from which rates can be told; None if they do not come in time."""
        deadline = time.monotonic() + timeout_s
        before = self.next(timeout_s)
        after = self.next(deadline - time.monotonic()) if before is not None else None
        return (before, after) if before is not None and after is not None else None

    def close(self) -> None:
        self._socket.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
