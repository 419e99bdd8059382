"""Audio as it comes from a device or a network → blocks of 16 kHz mono whose pts follow the clock, and gaps."""

from collections import Counter, deque
from collections.abc import Iterator
from statistics import median
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.clock import MS, SECOND
from emopipe.stages.media.audio import BLOCK_S, SAMPLE_NS, AudioConverter
from emopipe.stages.media.clock_filter import ClockFilter
from emopipe.stages.media.resampler import Resampler

JITTER_TOLERANCE_NS = 80 * MS
"""How far a frame's time may be from where the samples before it end; beyond this audio is missing or came twice."""

AGREEMENT_NS = 200 * MS  # for so long frames must agree on it: those that only came late are soon followed by others
MAX_PENDING_NS = 2 * SECOND  # audio held back, at most, until it is decided
MAX_UNCERTAINTY_PPM = 50.0  # ppm: a rate that is not known better is not worth telling
MAX_RATE_CHANGE = 0.005  # how much longer or shorter audio is made, at most: half a per cent, a twelfth of a semitone
SETTLING_NS = 4 * SECOND  # a small difference is made up within about so long
_CHUNK_S = 0.016  # s, resampled in one go


class AudioSpan(NamedTuple):
    """`samples` is float32 [n] in -1..1, none where there is nothing; `pts` and `duration` are ns."""

    pts: int
    duration: int
    samples: NDArray[np.float32] | None


class DriftCompensatedAudio:
    """Puts the frames of one live source onto the clock.

    The spans it gives fill the time without overlapping, whatever the frames' own times. Where a frame's time and the
    count of samples differ a little, jitter is averaged out, the clocks' drift is measured, and audio is made longer or
    shorter by at most `MAX_RATE_CHANGE`. Where they differ by more than `JITTER_TOLERANCE_NS`, and the frames that
    follow agree, audio was lost (a gap) or came twice (it is left out). Frames that were only late are told apart from
    lost audio by those that follow at once; until that is clear nothing is given.

    Not for use by several threads at once.

    Args:
        block: length of the spans, in s.

    Attributes:
        counters: `samples` (16 kHz, given), `gaps`, `overlapping` (samples left out), `damaged` (frames that could
            not be converted).
        end: where the last span ended (ns).
        drift_ppm: how much too slow the source's clock is, in parts per million; 0 until that is known well enough,
            after about a minute.
    """

    def __init__(self, block: float = BLOCK_S) -> None:
        self.counters: Counter[str] = Counter()
        self.end = 0
        self.drift_ppm = 0.0
        self._size = max(1, round(block / SAMPLE_NS * SECOND))
        self._converter = AudioConverter(_CHUNK_S)  # times in it are the device's: its count of samples
        self._resampler = Resampler()
        self._clock: ClockFilter | None = None  # none before the first frame, and after `restart`
        self._ready = np.empty(0, np.float32)
        self._pending: deque[tuple[av.AudioFrame, int, int]] = deque()  # (frame, time, its difference)

    def push(self, frame: av.AudioFrame, at: int) -> Iterator[AudioSpan]:
        """All spans that `frame` completes; its first sample was heard at about `at` (ns of running time)."""
        if self._clock is None:
            self._begin(at)
        assert self._clock is not None
        device = self._converter.end + sum(_duration(frame) for frame, _, _ in self._pending)
        difference = at - self._clock.clock(device)
        if abs(difference) <= JITTER_TOLERANCE_NS:
            if not self._pending:
                self._clock.update(device, at)
                if self._clock.uncertainty < MAX_UNCERTAINTY_PPM:
                    self.drift_ppm = self._clock.ppm
            yield from self._release()
            yield from self._convert(frame)
            return
        self._pending.append((frame, at, difference))
        if (missing := self._decide()) is not None:
            yield from self._jump(missing)

    def restart(self) -> Iterator[AudioSpan]:
        """What is left; the next frame is another device's, or the same one's after a break."""
        yield from self._release()
        yield from self._drain()
        self._clock = None

    def _begin(self, at: int) -> None:
        start = max(at, self.end, 0)
        self._converter.begin(start)
        if start > at:
            self.counters["overlapping"] += self._converter.skip(start - at)
        self._clock = ClockFilter(self._converter.end, at)
        self._start = start

    # -- lost audio, and audio that came twice ---------------------------------------------------------------

    def _decide(self) -> int | None:
        """By how much (ns) the source's time has jumped; none while that is not certain."""
        newest = self._pending[-1][1]
        recent = [difference for _, at, difference in self._pending if at >= newest - AGREEMENT_NS]
        waited = newest - self._pending[0][1]
        # Frames that were held up somewhere come faster than they were heard: their differences fall.
        if abs(waited) >= AGREEMENT_NS and max(recent) - min(recent) <= JITTER_TOLERANCE_NS:
            return round(median(recent))
        if sum(_duration(frame) for frame, _, _ in self._pending) >= MAX_PENDING_NS:
            return round(median(recent))
        return None

    def _jump(self, missing: int) -> Iterator[AudioSpan]:
        """Go on `missing` ns later, or earlier where that is negative, with what was pending."""
        if missing > 0:
            yield from self._drain()
            self._converter.begin(self._converter.end + missing)
            assert self._clock is not None
            self._start = max(self.end, self._clock.clock(self._converter.end))
        else:
            self.counters["overlapping"] += self._converter.skip(-missing)
        yield from self._release()

    def _release(self) -> Iterator[AudioSpan]:
        while self._pending:
            yield from self._convert(self._pending.popleft()[0])

    # -- samples ---------------------------------------------------------------------------------------------

    def _convert(self, frame: av.AudioFrame) -> Iterator[AudioSpan]:
        try:
            for chunk in self._converter.push(frame):
                yield from self._follow_clock(chunk.pts + chunk.duration, chunk.samples)
        except (ValueError, av.error.FFmpegError):
            self.counters["damaged"] += 1

    def _follow_clock(self, device_end: int, samples: NDArray[np.float32]) -> Iterator[AudioSpan]:
        """Resample so that what comes next lies where the clock says."""
        assert self._clock is not None
        ahead = self._start + len(self._ready) * SAMPLE_NS
        device = device_end - round((len(samples) + self._resampler.pending) * SAMPLE_NS)
        early = self._clock.clock(device) - ahead
        change = self._clock.ppm / 1e6 + early / SETTLING_NS
        given = self._resampler.push(samples, 1 + min(max(change, -MAX_RATE_CHANGE), MAX_RATE_CHANGE))
        self._ready = np.concatenate([self._ready, given])
        while len(self._ready) >= self._size:
            yield from self._cut(self._size)

    def _drain(self) -> Iterator[AudioSpan]:
        if self._clock is None:
            return
        for chunk in self._converter.flush():
            yield from self._follow_clock(chunk.pts + chunk.duration, chunk.samples)
        self._ready = np.concatenate([self._ready, self._resampler.flush()])
        self._resampler = Resampler()
        while len(self._ready):
            yield from self._cut(min(self._size, len(self._ready)))

    def _cut(self, size: int) -> Iterator[AudioSpan]:
        if 0 < self.end < self._start:
            self.counters["gaps"] += 1
            yield AudioSpan(self.end, self._start - self.end, None)
        samples, self._ready = self._ready[:size], self._ready[size:]
        self.counters["samples"] += size
        span = AudioSpan(self._start, size * SAMPLE_NS, samples)
        self._start += size * SAMPLE_NS
        self.end = self._start
        yield span


def _duration(frame: av.AudioFrame) -> int:
    return frame.samples * SECOND // frame.sample_rate if frame.sample_rate else 0
