"""The monotonic clocks of other hosts, each compared with ours by asking it the time.

What a clock shows is known to half of the time that question and answer took (NTP, RFC 5905): the quickest of several
exchanges counts. The clocks are compared once, before a run, and watched from then on.
"""

import time
from collections.abc import Callable

from emopipe.pipeline.clock import MS

EXCHANGES = 12  # of which the quickest counts
BUDGET_SHARE = 0.1  # of the latency budget by which a clock may be off
MAX_ERROR_NS = 50 * MS  # where there is no budget
WATCH_INTERVAL_S = 5.0


class Comparison:
    """One other host's clock.

    Attributes:
        shift: how far ours is ahead of it (ns).
        error: by how much that may be wrong at most (ns), what it has drifted since included.
        count: of exchanges.
    """

    def __init__(self) -> None:
        self.shift = 0
        self.error = 0
        self.count = 0

    def take(self, asked: int, told: int, answered: int) -> None:
        """Take in an exchange: we asked when ours was at `asked`, it was at `told`, and ours at `answered` then."""
        shift, error = (asked + answered) // 2 - told, (answered - asked + 1) // 2
        if self.count < EXCHANGES:
            if self.count == 0 or error < self.error:
                self.shift, self.error = shift, error
        else:  # what cannot be put down to the exchange itself is drift
            self.error = max(self.error, abs(shift - self.shift) - error)
        self.count += 1


class Clocks:
    """The clocks of a run's processes on other hosts, by their names.

    Args:
        ask: has a process told its time, which is taken in by `told`.
        now: our own monotonic time (ns).
    """

    def __init__(self, ask: Callable[[str, int], None], now: Callable[[], int] = time.monotonic_ns) -> None:
        self._ask = ask
        self._now = now
        self._others: dict[str, Comparison] = {}

    def add(self, name: str) -> None:
        """Begin to compare one."""
        self._others[name] = Comparison()

    @property
    def shifts(self) -> dict[str, int]:
        """What each process adds to its host's clock (ns)."""
        return {name: other.shift for name, other in self._others.items()}

    @property
    def compared(self) -> bool:
        """Whether enough has been heard of all."""
        return all(other.count >= EXCHANGES for other in self._others.values())

    def error(self, name: str) -> int:
        """By how much a process' times may be wrong (ns); 0 on this host."""
        other = self._others.get(name)
        return other.error if other is not None else 0

    def ask(self) -> None:
        """Ask all."""
        for name in self._others:
            self._ask(name, self._now())

    def told(self, name: str, asked: int, clock: int) -> None:
        """One has answered."""
        if (other := self._others.get(name)) is not None:
            other.take(asked, clock, self._now())

    def uncertain(self, budget: float | None) -> dict[str, str]:
        """What is wrong with the clocks that are not known well enough for ages within a latency budget (s)."""
        most = MAX_ERROR_NS if budget is None else BUDGET_SHARE * budget * 1000 * MS
        allowed = f"and a live graph allows ± {most / MS:.1f} ms for its ages"
        return {
            name: f"the clock of its host is known to ± {other.error / MS:.1f} ms, {allowed}"
            for name, other in self._others.items()
            if other.error > most
        }
