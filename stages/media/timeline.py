"""From a container's times to running time: one line for all streams of a recording, beginning at 0."""

from fractions import Fraction
from typing import Generic, TypeVar

from emopipe.pipeline.clock import SECOND

JUMP = SECOND  # a step of more than this (ns), back or ahead, is believed only if the next time agrees

Frame = TypeVar("Frame")


def ns(time: int, base: Fraction) -> int:
    """`time` in units of `base` seconds, in ns."""
    return round(time * base * SECOND)


class Timeline:
    """What the streams of one recording share: the container's time that is 0 of running time (ns)."""

    def __init__(self, origin: int = 0) -> None:
        self.origin = origin
        # What to add after each new start of the container's clock. A stream that meets one takes over the value of
        # the stream that met it first, so that they stay together.
        self.shifts = [0]


class Times(Generic[Frame]):
    """The times of one stream's frames.

    A single wrong time in a damaged file must neither open a hole nor count as a new start of the clock: so a frame
    whose time jumps is held back until the next one shows which of both was right.
    """

    def __init__(self, timeline: Timeline, base: Fraction) -> None:
        self._line = timeline
        self._base = base
        self._shift = 0
        self._newest: int | None = None  # the container's, ns
        self._held: tuple[Frame, int] | None = None
        self.end = 0
        """Where the stream has got to (ns of running time)."""

    def admit(self, frame: Frame, time: int | None) -> list[tuple[Frame, int | None]]:
        """The frames that are now known to be next, with their running time (ns), or none where it is missing."""
        raw = None if time is None else ns(time, self._base)
        known = []
        if self._held is not None:
            held, at = self._held
            self._held = None
            known.append((held, self._accept(at) if self._agrees(raw, at) else None))
        if raw is not None and self._newest is not None and abs(raw - self._newest) > JUMP:
            self._held = (frame, raw)
        else:
            known.append((frame, None if raw is None else self._accept(raw)))
        return known

    def rest(self) -> list[tuple[Frame, int | None]]:
        """The frame that is still held back at the end: time may go ahead there, but not back."""
        if self._held is None or self._newest is None:
            return []
        (held, at), self._held = self._held, None
        return [(held, self._accept(at) if at > self._newest else None)]

    def near(self, time: int | None) -> int:
        """About where that is (ns of running time), for a message: changes nothing and never is absurd."""
        if time is None:
            return self.end
        at = self._locate(ns(time, self._base))
        return at if abs(at - self.end) <= 10 * JUMP else self.end

    @property
    def bound(self) -> int | None:
        """The running time (ns) of a frame that is held back: nothing later may be promised."""
        return None if self._held is None else max(self.end, self._locate(self._held[1]))

    def _agrees(self, raw: int | None, held: int) -> bool:
        """Whether the time after the jump goes on from there rather than from before."""
        return raw is not None and self._newest is not None and abs(raw - held) <= abs(raw - self._newest)

    def _accept(self, raw: int) -> int:
        if self._newest is not None and raw < self._newest - JUMP:
            self._start_anew(raw)
        self._newest = raw
        return self._locate(raw)

    def _start_anew(self, raw: int) -> None:
        shifts = self._line.shifts
        self._shift += 1
        while self._shift < len(shifts) and self._locate(raw) < self.end - JUMP:
            self._shift += 1
        if self._shift == len(shifts):
            shifts.append(self.end - (raw - self._line.origin))

    def _locate(self, raw: int) -> int:
        return raw - self._line.origin + self._line.shifts[self._shift]
