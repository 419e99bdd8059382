"""A whole recording's speech: the windows in which a stream would hear it, and the long segments these make up."""

from typing import NamedTuple

import msgspec
import numpy as np

from emopipe.models.speech.features import Floats, MfccSpec, StreamingMfcc
from emopipe.models.speech.windower import TOLERANCE_NS, Silence, SpeechWindower, Window
from emopipe.pipeline.clock import SECOND

MAX_SEGMENT_NS = 10 * SECOND
"""A segment is no longer (ns), pauses included: networks learn from clips of a few seconds."""


_NO_AUDIO = np.empty(0, np.float32)


class Segment(NamedTuple):
    """Speech from `start` to `end` (ns), with the pauses in it, as MFCC float32 [T, coefficients] and as
    audio float32 [n]."""

    start: int
    end: int
    mfcc: Floats
    audio: Floats


class SpeechSegmenter:
    """Segmentation of one recording's sound, taken piece by piece.

    Args:
        windower: cuts the windows; see its settings.
        spec: of the MFCC, that of the windower too.
    """

    def __init__(self, windower: SpeechWindower | None = None, spec: MfccSpec | None = None) -> None:
        self._spec = spec or MfccSpec()
        self._windower = windower or SpeechWindower(spec=self._spec)
        self.windows: list[Window] = []
        self.segments: list[Segment] = []
        self._anchor: int | None = None
        self._restart()

    def push(self, samples: Floats, pts: int) -> None:
        """Take mono sound float32 [n] in -1..1 at the spec's rate, from `pts` (ns) on, right behind the last."""
        if self._anchor is None:
            self._anchor = self._until = pts
        self._until += len(samples) * SECOND // self._spec.sample_rate
        self._frames.append(self._mfcc.push(samples))
        self._audio.append(samples)
        self._add(self._windower.push(samples, pts))

    def skip(self, pts: int) -> None:
        """Note that there is no sound before `pts` (ns)."""
        if self._anchor is not None and pts - self._until <= TOLERANCE_NS:
            return  # the windower takes what follows for the same sound, and so must we
        self._add(self._windower.skip(pts))
        self._close()
        self._restart()

    def finish(self) -> None:
        """Note that the sound has ended."""
        self._add(self._windower.flush())
        self._close()
        self._restart()

    def _restart(self) -> None:
        self._mfcc = StreamingMfcc(self._spec)
        self._frames: list[Floats] = []
        self._audio: list[Floats] = []
        self._anchor = None  # where the sound since the last hole begins
        self._until = 0  # … and where it ends so far
        self._pending: list[Window] = []

    def _add(self, events: list[Window | Silence]) -> None:
        # Windows overlap: their sound is cut from the recording's at the end, rather than kept six times.
        self._pending += [
            msgspec.structs.replace(event, audio=_NO_AUDIO) for event in events if isinstance(event, Window)
        ]

    def _close(self) -> None:
        """Make segments of the windows since the last hole, each as long as may be."""
        if self._anchor is None or not self._pending:
            return
        frames, audio = np.concatenate(self._frames), np.concatenate(self._audio)
        for window in self._pending:
            first = self._sample(window.start)
            last = min(self._sample(window.end), len(audio))
            self.windows.append(msgspec.structs.replace(window, audio=audio[first:last]))
        spans: list[tuple[int, int]] = []
        for window in self._pending:
            first = self._frame(window.start)
            end = first + len(window.mfcc)
            if spans and self._time(end) - self._time(spans[-1][0]) <= MAX_SEGMENT_NS:
                spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
            else:
                first = max(first, spans[-1][1]) if spans else first
                spans += [(first, end)] if end > first else []
        hop = self._spec.hop
        self.segments += [
            Segment(self._time(first), self._time(end), frames[first:end], audio[first * hop : end * hop])
            for first, end in spans
        ]

    def _sample(self, pts: int) -> int:
        return -(-(pts - (self._anchor or 0)) * self._spec.sample_rate // SECOND)

    def _frame(self, pts: int) -> int:
        anchor = self._anchor or 0
        return -(-(pts - anchor) * self._spec.sample_rate // (SECOND * self._spec.hop))

    def _time(self, frame: int) -> int:
        return (self._anchor or 0) + frame * self._spec.hop * SECOND // self._spec.sample_rate
