"""What becomes of a ZeroMQ socket's connections: those that fail, and those that are lost."""

import asyncio
from collections.abc import Callable

import zmq
from zmq.utils.monitor import recv_monitor_message

EVENTS = (
    zmq.EVENT_HANDSHAKE_SUCCEEDED
    | zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_DISCONNECTED
)


class Monitor:
    """Calls `happened` with each of `EVENTS` at a socket, in the running event loop, until it is closed.

    What `happened` raises goes to the loop's exception handler.
    """

    def __init__(self, socket: "zmq.Socket[bytes]", happened: Callable[[int], None]) -> None:
        self._watched = socket
        self._happened = happened
        self._events = socket.get_monitor_socket(EVENTS)
        self._loop = asyncio.get_running_loop()
        self._descriptor = self._events.fileno()
        self._loop.add_reader(self._descriptor, self._readable)
        self._loop.call_soon(self._readable)  # ZeroMQ's descriptor is edge-triggered, and arms when it is read empty

    def close(self) -> None:
        """Close it, before the socket itself."""
        self._loop.remove_reader(self._descriptor)
        self._watched.disable_monitor()
        self._events.close(0)

    def _readable(self) -> None:
        while not self._events.closed:
            try:
                event = recv_monitor_message(self._events, zmq.NOBLOCK)
            except zmq.Again:
                return
            self._happened(event["event"])
