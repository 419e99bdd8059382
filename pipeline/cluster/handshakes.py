"""What becomes of the connection from a worker on another host to its run."""

import os
import sys

import zmq

from emopipe.pipeline.errors import EmopipeError

MAX_FAILED_HANDSHAKES = 5  # in a row: somebody answers there, but not by the key that was given
LOST_CODE = 3  # the run has gone without a word


class Handshakes:
    """Watches the connection to the run at `address`; ends this process where it is refused, or lost."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._failed = 0
        self._connected = False

    def happened(self, event: int) -> None:
        """Take in an event of the connection (`access.monitor.EVENTS`)."""
        if event == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            self._connected = True
        elif self._connected:
            os._exit(LOST_CODE)  # as a worker does whose supervisor is gone: nobody is there to close anything for
        elif event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            _say(f"the run at {self._address} does not know this key; there, set remote to its public half")
            os._exit(EmopipeError.exit_code)
        elif event != zmq.EVENT_DISCONNECTED:
            self._failed += 1
            if self._failed >= MAX_FAILED_HANDSHAKES:
                _say(f"whoever answers at {self._address} has another key than --server-key says")
                os._exit(EmopipeError.exit_code)


def _say(text: str) -> None:
    print(f"emopipe: {text}", file=sys.stderr, flush=True)
