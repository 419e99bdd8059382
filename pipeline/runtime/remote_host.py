"""What a worker on another host than the supervisor's has of its own, and what tells the clocks of hosts apart."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from emopipe.pipeline.access.keys import KeyPair

CLOCK_ID = Path("/proc/sys/kernel/random/boot_id")  # of this start of the machine, where its monotonic clock begins
TIME_NAMESPACE = Path("/proc/self/ns/time")


def clock_id() -> str:
    """What tells the monotonic clocks of hosts apart; empty where the system does not say."""
    try:
        start = CLOCK_ID.read_text().strip()
    except OSError:
        return ""
    # A container may have a clock of its own on one machine.
    return f"{start} {TIME_NAMESPACE.stat().st_ino}" if TIME_NAMESPACE.exists() else start


class RemoteHost(NamedTuple):
    """What a worker on another host than the supervisor's has of its own.

    Attributes:
        pair: who it is.
        folder: for its sockets, and for the journals of its stages, which outlive it.
        address: of this host, as the others reach it.
        happened: called with each event (`access.monitor.EVENTS`) of the connection to the supervisor.
    """

    pair: KeyPair
    folder: Path
    address: str
    happened: Callable[[int], None]

    @property
    def sockets(self) -> str:
        """How the addresses of sockets on this host begin."""
        return f"ipc://{self.folder}/"

    def state(self, given: str) -> Path:
        """The folder of the journals of a run that keeps its own at `given`, on its host."""
        folder = self.folder / hashlib.sha256(given.encode()).hexdigest()[:16]
        folder.mkdir(exist_ok=True)
        return folder
