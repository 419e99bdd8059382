"""What is wrong inside a recording: damaged places as time ranges, and what FFmpeg says of them."""

import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

import av

from emopipe.pipeline.clock import SECOND

MERGE_NS = SECOND  # damage this close together (ns) is one place
MAX_PLACES = 100  # places reported; from then on the last one grows

# FFmpeg's messages reach whoever configures the logger, and never stderr by themselves.
logging.getLogger("libav").addHandler(logging.NullHandler())


def clock_time(ns: int) -> str:
    """Running time as people write it: `01:02:03.456`, without the hours where there are none."""
    seconds, ms = divmod(round(ns / 1_000_000), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{f'{hours:02}:' if hours else ''}{minutes:02}:{seconds:02}.{ms:03}"


class Damage(NamedTuple):
    """One damaged place: from `start` to `end` (ns of running time), `errors` of them, and the first one's text."""

    start: int
    end: int
    errors: int
    reason: str

    def __str__(self) -> str:
        where = f"at {clock_time(self.start)}"
        if clock_time(self.end) != clock_time(self.start):
            where = f"from {clock_time(self.start)} to {clock_time(self.end)}"
        times = f" ({self.errors} errors)" if self.errors > 1 else ""
        return f"damaged {where}: {self.reason}{times}"


class MediaFault(Exception):
    """Something in a recording is left out; reading goes on."""


class DamageList:
    """Gathers single errors into places, and reports each place once, when it has been passed."""

    def __init__(self, report: Callable[[Damage], None] | None = None) -> None:
        self.places: list[Damage] = []
        self._report = report
        self._open: Damage | None = None

    def add(self, at: int, reason: str) -> None:
        """Something was wrong at running time `at` (ns)."""
        self.passed(at)
        if self._open is None:
            self._open = Damage(at, at, 1, reason)
        else:
            start, end, count, first = self._open
            self._open = Damage(min(start, at), max(end, at), count + 1, first)

    def passed(self, now: int) -> None:
        """The recording has been read up to `now`: report the open place if it is over."""
        if self._open is not None and now > self._open.end + MERGE_NS and len(self.places) < MAX_PLACES - 1:
            self.close()

    def close(self) -> None:
        """Report the place that is still open."""
        if self._open is not None:
            place, self._open = self._open, None
            self.places.append(place)
            if self._report is not None:
                self._report(place)


class FFmpegErrors:
    """Lets FFmpeg's errors be heard while any instance is open; PyAV is silent otherwise.

    A decoder that conceals an error returns a frame as if nothing had happened: the log is all there is to tell.
    """

    _lock = threading.Lock()
    _listeners = 0
    _before: tuple[int | None, bool] = (None, True)

    def __init__(self) -> None:
        with FFmpegErrors._lock:
            if FFmpegErrors._listeners == 0:
                FFmpegErrors._before = av.logging.get_level(), av.logging.get_skip_repeated()
                av.logging.set_level(av.logging.ERROR)
                av.logging.set_skip_repeated(False)  # the same error again is another error
            FFmpegErrors._listeners += 1
        self._open = True

    def close(self) -> None:
        if not self._open:
            return
        self._open = False
        with FFmpegErrors._lock:
            FFmpegErrors._listeners -= 1
            if FFmpegErrors._listeners == 0:
                level, skip_repeated = FFmpegErrors._before
                av.logging.set_level(level)
                av.logging.set_skip_repeated(skip_repeated)

    def capture(self) -> av.logging.Capture:
        """A context whose value is the list of (level, component, text) logged inside it by this thread."""
        return av.logging.Capture()


def explain(error: av.error.FFmpegError | None, logs: list[tuple[int, str, str]]) -> str:
    """One line for an error and what was logged with it."""
    said = " ".join(logs[-1][2].split()) if logs else ""
    what = (error.strerror or type(error).__name__) if error is not None else ""
    return " – ".join(filter(None, [what, said]))
