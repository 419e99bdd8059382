"""How a run is doing, for those who watch it: the supervisor publishes a snapshot a second, viewers take the newest.

Nothing is ever read from a viewer, and nobody waits for one: a viewer that is slow or stuck misses snapshots.

    with StatusServer(folder) as server:                            # in the supervisor
        server.publish(snapshot)

    with StatusViewer("ipc:///tmp/emopipe-run-x/status") as viewer:          # anywhere
        snapshot = viewer.next(timeout_s=3)
"""

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
MAX_SUBSCRIPTION_BYTES = 1024  # a handshake has some hundreds

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
        """Send a snapshot to whoever is there; never waits."""
        data = _encode(snapshot)
        for publisher in self._publishers:
            publisher.socket.send(data, zmq.NOBLOCK)

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
        self.socket: Socket = self.context.socket(zmq.PUB)
        self.socket.linger = 0
        self.socket.setsockopt(zmq.CONFLATE, 1)  # of what a viewer has not taken the newest is kept
        self.socket.setsockopt(zmq.MAXMSGSIZE, MAX_SUBSCRIPTION_BYTES)


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
        self._socket: Socket = self._context.socket(zmq.SUB)
        self._socket.linger = 0
        self._socket.setsockopt(zmq.CONFLATE, 1)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_SNAPSHOT_BYTES)
        self._socket.setsockopt(zmq.RECONNECT_IVL, 100)
        self._socket.subscribe(b"")
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
        if not self._socket.poll(max(0, round(timeout_s * 1000))):
            return None
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
