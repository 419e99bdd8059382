"""Takes connections from anybody, and bounds what strangers can hold of this process.

Nothing is known of who connects, so whoever does is *silent* until the owner of the connection says that they have
shown who they are (`Connection.settle`). Of silent ones there are only so many: for a new one the oldest of the address
that has most has to go. All of it is decided before anything but a descriptor is spent on a connection, and only
so many are taken a second: others wait in the system's queue, or try again.
"""

import asyncio
import contextlib
import errno
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any

from emopipe.pipeline.access.addresses import in_use
from emopipe.pipeline.clock import SECOND, Clock, SystemClock
from emopipe.pipeline.errors import EmopipeError

BACKLOG = 128  # connections that the system keeps until they are taken
RATE_HZ = 200.0  # connections taken a second, unless told otherwise
BURST = 64  # taken in quick succession, after a while without
MAX_LEAVING = 16  # connections that have to go and are not gone yet: before that no more are taken
LEAVING_PAUSE_S = 0.01  # for which none is taken until they are
FULL_PAUSE_S = 1.0  # for which none is taken where no descriptor is left


class Connection:
    """One connection from outside.

    Attributes:
        socket: its socket; whoever serves it closes it.
        address: where it comes from.
        silent: nobody has vouched for it yet.
        leaving: it has to go, to make room.
    """

    def __init__(self, connected: socket.socket, address: str) -> None:
        self.socket = connected
        self.address = address
        self.silent = True
        self.leaving = False

    @property
    def closed(self) -> bool:
        return self.socket.fileno() < 0

    def settle(self) -> None:
        """Its peer has shown who they are: it need not make room for strangers."""
        self.silent = False

    def shut(self) -> None:
        """End it: whoever serves it hears that it is over, as if the peer had gone."""
        self.leaving = True
        with contextlib.suppress(OSError):  # the peer was quicker
            self.socket.shutdown(socket.SHUT_RDWR)


class Listener:
    """Takes what connects at a bound socket, in the running event loop.

    Args:
        bound: a bound TCP socket; the listener closes it.
        serve: called with each connection that is taken; it owns the connection's socket.
        most: connections at a time; a new one is refused where none of them is silent.
        most_silent: of them silent.
        rate: connections taken a second, at most.

    Attributes:
        taken: connections that were served.
        refused: those that were closed at once, or made room for others.
    """

    def __init__(
        self,
        bound: socket.socket,
        serve: Callable[[Connection], None],
        *,
        most: int,
        most_silent: int,
        rate: float = RATE_HZ,
        clock: Clock | None = None,
    ) -> None:
        self._bound = bound
        self._serve = serve
        self._most = most
        self._most_silent = most_silent
        self._rate = rate
        self._clock = clock or SystemClock()
        self._connections: list[Connection] = []  # oldest first
        self._tokens = float(BURST)
        self._counted = self._clock.now()
        self._pause: asyncio.TimerHandle | None = None
        self.taken = self.refused = 0
        self._loop = asyncio.get_running_loop()
        bound.setblocking(False)
        bound.listen(BACKLOG)
        self._loop.add_reader(bound, self._accept)

    @property
    def connections(self) -> list[Connection]:
        """Those that are open, oldest first."""
        self._connections = [each for each in self._connections if not each.closed]
        return self._connections

    def close(self) -> None:
        """Take no more; those that are open stay."""
        if self._bound.fileno() < 0:
            return
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._bound)
        self._bound.close()

    def _accept(self) -> None:
        while True:
            if sum(each.leaving for each in self.connections) >= MAX_LEAVING:
                self._wait(LEAVING_PAUSE_S)
                return
            if not self._take_token():
                self._wait(1 / self._rate)
                return
            try:
                connected, peer = self._bound.accept()
            except BlockingIOError:
                self._tokens += 1
                return
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                    continue  # it has gone already
                self._report("no connection can be taken for a moment", error)
                self._wait(FULL_PAUSE_S)
                return
            connected.setblocking(False)
            self._admit(Connection(connected, peer[0]))

    def _admit(self, new: Connection) -> None:
        there = [each for each in self.connections if not each.leaving]
        silent = [each for each in there if each.silent]
        if len(silent) >= self._most_silent or (silent and len(there) >= self._most):
            counts = Counter(each.address for each in silent)
            leaving = max(silent, key=lambda each: counts[each.address])  # of several the oldest
            leaving.shut()
            self.refused += 1
        elif len(there) >= self._most:
            new.socket.close()
            self.refused += 1
            return
        self._connections.append(new)
        self.taken += 1
        self._serve(new)

    def _take_token(self) -> bool:
        now = self._clock.now()
        self._tokens = min(float(BURST), self._tokens + (now - self._counted) / SECOND * self._rate)
        self._counted = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _wait(self, seconds: float) -> None:
        """Take no connection for a while."""
        self._loop.remove_reader(self._bound)

        def resume() -> None:
            self._pause = None
            self._loop.add_reader(self._bound, self._accept)

        self._pause = self._loop.call_later(seconds, resume)

    def _report(self, message: str, error: OSError) -> None:
        context: dict[str, Any] = {"message": message, "exception": error, "socket": self._bound}
        self._loop.call_exception_handler(context)


def bind_tcp(host: str, port: int) -> socket.socket:
    """A socket bound to an address of this machine; port 0 is one that is free.

    Raises:
        EmopipeError: the address is in use, or not this machine's.
    """
    try:
        family, kind, protocol, _, at = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise EmopipeError(f"endpoint: {host} is no address of this machine: {error.strerror}") from None
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(at)
    except OSError as error:
        bound.close()
        name = f"{host}:{port}"
        if error.errno == errno.EADDRINUSE:
            raise EmopipeError(f"endpoint: {in_use(name)}") from None
        raise EmopipeError(f"endpoint: {name} cannot be bound: {error.strerror}; choose another address") from None
    return bound
