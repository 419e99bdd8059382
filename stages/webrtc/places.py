"""Who sends: how many at a time, so that no caller takes what others need, and by which names."""

import re
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from typing import Protocol

MAX_CONNECTING = 32  # peers that have an answer and have not connected yet

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")


class Sender(Protocol):
    """What places need of a peer."""

    network: str | None
    connected: bool

    def finish(self, reason: str = "") -> None:
        """Let it go."""


class Places:
    """The places of senders: who has connected takes one, and who has not may have to go.

    Args:
        most: at a time.
        most_per_network: of these from one network (`stages.web.callers.Caller.network`).
        senders: by stream, in the order of their offers, at any time; None while an offer is being answered.
    """

    def __init__(self, most: int, most_per_network: int, senders: Mapping[str, Sender | None]) -> None:
        self._most = most
        self._most_per_network = most_per_network
        self._senders = senders

    def refusal(self, network: str | None) -> str:
        """Why one more cannot connect from `network`; empty if it can."""
        connected = [each for each in self._senders.values() if each is not None and each.connected]
        if len(connected) >= self._most:
            return f"All {self._most} places are taken; try again later."
        if network is not None and sum(each.network == network for each in connected) >= self._most_per_network:
            return f"From one address {self._most_per_network} may send at a time; try again later."
        return ""

    def make_room(self, network: str | None) -> None:
        """Let go of the oldest that has not connected yet, of the caller's own or of whoever has most of them."""
        waiting = [each for each in self._senders.values() if each is not None and not each.connected]
        own = [each for each in waiting if each.network == network]
        if network is not None and len(own) >= self._most_per_network:
            own[0].finish("Others have been offered from your address since.")
        elif len(waiting) >= MAX_CONNECTING:
            counts = Counter(each.network for each in waiting)
            oldest = max(waiting, key=lambda each: counts[each.network])  # of several the first
            oldest.finish("Too many were connecting at once; try again.")


def free_name(label: str, wanted: str, taken: Container[str], numbers: Iterator[int]) -> str:
    """`LABEL/WANTED` if that is a name and free, else the next free `LABEL/peer-NUMBER`.

    No other stage gives such names: a stranger may not choose that of a recording or a camera.
    """
    if _NAME.fullmatch(wanted) and (name := f"{label}/{wanted}") not in taken:
        return name
    return next(name for number in numbers if (name := f"{label}/peer-{number}") not in taken)
