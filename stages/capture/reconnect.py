"""What to do when a live input is lost: a state machine of its own, without clock, input or message."""

from typing import Literal

from emopipe.pipeline.clock import SECOND

FIRST_PAUSE_NS = SECOND // 2
"""Before the first attempt (ns); each later pause is twice as long as the one before."""

STABLE_AFTER_NS = 10 * SECOND
"""An input that played for so long (ns) is tried again as quickly as at first when it is lost."""


class Reconnection:
    """playing → waiting → connecting → playing …, or over.

        playing ──lost──> waiting ──due──> connecting ──opened──> playing
           │                 ^                 │
           │                 └─────failed──────┘
           └──lost, and nothing is to be tried──> over

    Args:
        longest: pause between two attempts, in s; 0: what is lost is over.
        now: when it was opened (ns).

    Attributes:
        state: where it is.
        due: when to try again, while it waits (ns).
        lost_at: when it was lost, until it plays again (ns).
    """

    def __init__(self, longest: float, now: int) -> None:
        self.state: Literal["playing", "waiting", "connecting", "over"] = "playing"
        self.due = 0
        self.lost_at = 0
        self._longest = round(longest * SECOND)
        self._pause = FIRST_PAUSE_NS
        self._since = now

    def lost(self, now: int) -> None:
        """It plays no more."""
        self._must_be("playing")
        if now - self._since >= STABLE_AFTER_NS:
            self._pause = FIRST_PAUSE_NS
        self.lost_at = now
        if self._longest:
            self._wait(now)
        else:
            self.state = "over"

    def connect(self) -> None:
        """It is due, and an attempt begins."""
        self._must_be("waiting")
        self.state = "connecting"

    def failed(self, now: int) -> None:
        """It cannot be opened yet."""
        self._must_be("connecting")
        self._wait(now)

    def opened(self, now: int) -> None:
        """It plays again."""
        self._must_be("connecting")
        self.state = "playing"
        self._since = now

    def _wait(self, now: int) -> None:
        self.state = "waiting"
        pause = min(self._pause, self._longest)
        self.due = now + pause
        self._pause = min(2 * pause, self._longest)

    def _must_be(self, state: str) -> None:
        if self.state != state:
            raise RuntimeError(f"expected to be {state}, but it is {self.state}")
