"""Notices who is silent, who is busy with one message for too long, and who takes too much memory.

Time is counted in the watchdog's own ticks, not by the clock: after a sleep of the whole machine, or a stop of all
processes, nobody has been silent for longer than before.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from emopipe.pipeline.supervision.settings import Supervision

MIB = 1 << 20
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Alarm(msgspec.Struct, frozen=True):
    """Something to be done about a process.

    `warn` about it and take a look at its stacks, or `kill` it; `text` says why: `no sign of life for 5 s`.
    """

    action: Literal["warn", "kill"]
    text: str
    stage: str = ""  # which of the process's it is about, where that is known


class Watchdog:
    """Watches one process.

    Args:
        settings: its limits.
        interval: s between two ticks.
        patient: whether a stage in it may rightly be held up, by a terminal that somebody has paused, for one: then
            silence counts only while the process is stopped.
    """

    def __init__(self, settings: Supervision, interval: float, *, patient: bool = False) -> None:
        self._settings = settings
        self._interval = interval
        self._patient = patient
        self._silent = 0  # ticks
        self._heard = True
        self._warned: set[str] = set()
        self.loading = True
        """Whether it imports and sets up, which may keep its event loop busy for as long as the start may take."""
        self.busy: Mapping[str, float] = {}
        """For how long (s) each stage has been at one message, as the process itself says."""

    def heard(self) -> None:
        """A sign of life has come."""
        self._heard = True

    def tick(self, *, stopped: bool, memory: int | None) -> Alarm | None:
        """What is to be done now.

        Args:
            stopped: whether the process is stopped by a signal.
            memory: bytes that it takes; None where nobody knows.
        """
        self._silent = 0 if self._heard else self._silent + 1
        self._heard = False
        limit = self._settings.max_memory
        if limit is not None and memory is not None and memory > limit * MIB:
            taken = f"takes {memory / MIB:.0f} MiB of memory, more than max_memory, {limit} MiB"
            return Alarm("kill", taken)
        silent = self._silent * self._interval
        if stopped or not (self.loading or self._patient):
            what = "stopped by a signal" if stopped else "no sign of life"
            if alarm := self._escalate("", what, silent):
                return alarm
        for stage, seconds in self.busy.items():
            if not self._patient and (alarm := self._escalate(stage, "busy with one message", seconds)):
                return alarm
        return None

    def _escalate(self, stage: str, what: str, seconds: float) -> Alarm | None:
        text = f"{what} for {seconds:.3g} s"
        if seconds >= self._settings.kill_after:
            return Alarm("kill", text, stage)
        if seconds < self._settings.warn_after:
            self._warned.discard(stage)
        elif stage not in self._warned:
            self._warned.add(stage)
            return Alarm("warn", text, stage)
        return None


def is_stopped(pid: int) -> bool:
    """Whether a process is stopped by a signal; false where the system has no /proc."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in ("T", "t")
    except (OSError, IndexError):
        return False


def resident_memory(pid: int) -> int | None:
    """The bytes of memory that a process has for itself and shares; None where the system does not say."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except (OSError, IndexError):
        return None
