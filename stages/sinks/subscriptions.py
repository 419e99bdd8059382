"""Who has subscribed at an XPUB socket, and an end to whoever subscribes without end.

ZeroMQ keeps some 2 kB a subscription and sets no limit, and an XPUB cannot refuse one. What it can tell is by which
connection one came; so a connection with too many is shut, and ZeroMQ forgets what came by it.
"""

import contextlib
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator

import zmq

MAX_PER_CONNECTION = 1000  # subscriptions
MAX_SUBSCRIPTIONS = 20_000  # of all connections together
MAX_TOPIC_BYTES = 1024  # a longer subscription ends its connection, by ZeroMQ itself
SUBSCRIBING = {zmq.MAXMSGSIZE: MAX_TOPIC_BYTES, zmq.RCVHWM: 100, zmq.RCVBUF: 1 << 16}
"""What to set on an XPUB socket before it is bound: what is on its way when a connection is shut still comes."""


class Subscriptions:
    """The subscriptions at `xpub`, a bound XPUB socket with `XPUB_VERBOSER`: `read` takes in what has changed.

    Args:
        wanted: whether a topic is one to be counted: that of something that is published.
        refused: called when a connection has been shut.
    """

    def __init__(self, xpub: "zmq.Socket[bytes]", wanted: Callable[[bytes], bool], refused: Callable[[], None]) -> None:
        self._xpub = xpub
        self._wanted = wanted
        self._refused = refused
        self._total = 0
        self._by_connection: Counter[int] = Counter()  # of those that are open, by the inode of their socket

    def read(self) -> Iterator[int]:
        """1 for each subscription that has come and is counted, -1 for each that has gone."""
        while not self._xpub.closed:
            try:
                event = self._xpub.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            data = event.bytes
            if data[:1] not in (b"\0", b"\1"):  # a message of a subscriber, who has nothing to say
                continue
            came = data[:1] == b"\1"
            self._total += 1 if came else -1
            if came:
                self._limit(event)
            if self._wanted(data[1:]):
                yield 1 if came else -1

    def _limit(self, event: zmq.Frame) -> None:
        try:
            connection = socket.socket(fileno=os.dup(int(event.get(zmq.SRCFD))))
        except (OSError, zmq.ZMQError):  # it is closed already
            return
        with connection:
            inode = os.fstat(connection.fileno()).st_ino
            if len(self._by_connection) > MAX_SUBSCRIPTIONS:  # most of them are closed: of that nobody tells
                self._by_connection.clear()
            self._by_connection[inode] += 1
            if self._by_connection[inode] <= MAX_PER_CONNECTION and self._total <= MAX_SUBSCRIPTIONS:
                return
            # The descriptor may by now be something else's: what is shut is a connection of ours in any case.
            endpoint = self._xpub.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
            if _address(connection) == endpoint:
                _cut(connection)
                del self._by_connection[inode]
                self._refused()


def _cut(connection: socket.socket) -> None:
    """Shut a connection, and take away what it has sent already: ZeroMQ would go on reading that."""
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
        while connection.recv(1 << 16, socket.MSG_DONTWAIT):
            pass


def _address(connection: socket.socket) -> str:
    """The own end of a connection, as ZeroMQ writes it."""
    name = connection.getsockname()
    if connection.family == socket.AF_UNIX:
        return f"ipc://{name if isinstance(name, str) else name.decode().replace(chr(0), '@')}"
    host, port = name[:2]
    return f"tcp://[{host}]:{port}" if ":" in host else f"tcp://{host}:{port}"
