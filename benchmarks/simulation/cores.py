"""Processors that threads share as they do under Linux: each has a queue, and the thread that has had least is next.

What it has of the kernel's scheduler (EEVDF and the balancing between processors, kernel/sched/fair.c) is what decides
who waits, and for how long: turns end at ticks, who wakes waits for that, and goes to its own core where none is idle.
"""

import asyncio
from collections import deque
from typing import NamedTuple

from benchmarks.simulation.virtual_time import VirtualClock
from emopipe.pipeline.clock import MS, SECOND

TURN_NS = 4 * MS  # a tick (CONFIG_HZ=250), at which the kernel looks whose turn it is
MIGRATION_COST_NS = MS // 2  # sysctl_sched_migration_cost: a core that is idle for less, on average, takes no work over
IDLE_WEIGHT = 1 / 8  # of the last idle time in that average (update_avg)


class _Piece:
    def __init__(self, ns: int, done: asyncio.Future[None]) -> None:
        self.left = ns
        self.done = done


class Thread:
    """Work that is done piece by piece, in order, on one core at a time.

    Attributes:
        used: ns of a core that it has had; of one that has slept, as much as the others.
        core: on which it was last.
    """

    def __init__(self, cores: "Cores") -> None:
        self._cores = cores
        self.used = 0
        self.core = 0
        self.pieces: deque[_Piece] = deque()

    def work(self, ns: int) -> asyncio.Future[None]:
        """Take a core for so long in all; what is given is done then."""
        piece = _Piece(max(ns, 1), asyncio.get_running_loop().create_future())
        self.pieces.append(piece)
        if len(self.pieces) == 1:
            self._cores.wake(self)
        return piece.done


class _Turn(NamedTuple):
    thread: Thread
    since: int


class _Core:
    def __init__(self) -> None:
        self.turn: _Turn | None = None
        self.ready: list[Thread] = []
        self.idle_since = 0
        self.mean_idle = 2.0 * MIGRATION_COST_NS

    @property
    def idle(self) -> bool:
        return self.turn is None and not self.ready

    def join(self, thread: Thread, now: int) -> None:
        """Take a thread in: it has had about as much as those who are there."""
        used = [each.used for each in self.ready]
        if self.turn is not None:
            used.append(self.turn.thread.used + now - self.turn.since)
        if used:
            mean = sum(used) // len(used)
            thread.used = min(max(thread.used, mean), mean + TURN_NS)
        self.ready.append(thread)


class Cores:
    """So many processors.

    Args:
        warm: what work takes, of its time, that has waited for a core: one that was not idle is not asleep, and its
            caches not cold.

    Attributes:
        busy: ns that they have worked.
    """

    def __init__(self, count: int, warm: float = 1.0) -> None:
        self._warm = warm
        self._clock = VirtualClock()
        self._cores = [_Core() for _ in range(count)]
        self.busy = 0

    def wake(self, thread: Thread) -> None:
        """A thread has something to do: on its core where that is idle, or none is; else on one that is."""
        now = self._clock.now()
        last = self._cores[thread.core]
        core = last if last.idle else next((each for each in self._cores if each.idle), None)
        if core is None:
            self._warm_up(thread)
            last.join(thread, now)
        else:
            core.mean_idle += (now - core.idle_since - core.mean_idle) * IDLE_WEIGHT
            core.join(thread, now)
            self._next(core)

    def _warm_up(self, thread: Thread) -> None:
        piece = thread.pieces[0]
        piece.left = max(1, round(piece.left * self._warm))

    def _next(self, core: _Core) -> None:
        """The next turn on a core."""
        now = self._clock.now()
        if not core.ready:
            self._take_over(core)
        if not core.ready:
            core.idle_since = now
            return
        thread = min(core.ready, key=lambda each: each.used)
        core.ready.remove(thread)
        thread.core = self._cores.index(core)
        ns = min(TURN_NS, thread.pieces[0].left)
        core.turn = _Turn(thread, now)
        asyncio.get_running_loop().call_later(ns / SECOND, self._end, core, ns)

    def _take_over(self, core: _Core) -> None:
        """Take a thread over that waits for another core, if idle times are worth it."""
        fullest = max(self._cores, key=lambda each: len(each.ready))
        if fullest.ready and core.mean_idle >= MIGRATION_COST_NS:
            thread = max(fullest.ready, key=lambda each: each.used)  # the last in its turn
            fullest.ready.remove(thread)
            core.join(thread, self._clock.now())

    def _end(self, core: _Core, ns: int) -> None:
        """A turn is over after so long."""
        assert core.turn is not None
        thread, core.turn = core.turn.thread, None
        self.busy += ns
        thread.used += ns
        piece = thread.pieces[0]
        piece.left -= ns
        if piece.left <= 0:
            thread.pieces.popleft()
            piece.done.set_result(None)
            if thread.pieces:
                self._warm_up(thread)
        if thread.pieces:
            core.ready.append(thread)
        self._next(core)
