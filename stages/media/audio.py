"""Decoded audio of any rate and layout → blocks of 16 kHz mono whose times are exact sample counts."""

from collections.abc import Iterator
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.clock import SECOND

SAMPLE_RATE_HZ = 16_000  # Hz
SAMPLE_NS = SECOND // SAMPLE_RATE_HZ  # one sample, 62,500 ns exactly
BLOCK_S = 0.064  # s


class Block(NamedTuple):
    """`samples` is float32 [n] in -1..1; `pts` and `duration` are ns."""

    pts: int
    samples: NDArray[np.float32]

    @property
    def duration(self) -> int:
        return len(self.samples) * SAMPLE_NS


class AudioConverter:
    """Resamples and mixes audio frames that follow each other, and cuts them into blocks.

    A block's pts is the start given to `begin` plus the samples since then, whatever the frames' own times say; a
    new `begin` after `flush` opens a hole. Rate, layout and format may change on the way.

    The mix is libswresample's, in 16 bits: for floats it does not normalise (the same audio came out 3 dB louder in
    stereo than in mono, and 5.1 over full scale), and it may leave -1..1.
    """

    def __init__(self, block: float = BLOCK_S) -> None:
        self._size = max(1, round(block * SAMPLE_RATE_HZ))
        self._resampler: av.AudioResampler | None = None
        self._shape: tuple[str, str, int] | None = None
        self._pending = np.empty(0, np.int16)
        self._skip = 0
        self._next = 0
        self.end = 0
        """Where what was pushed ends, by the count of samples at their own rates (ns)."""

    def begin(self, start: int) -> None:
        """The next frame begins at `start` (ns)."""
        self._next = self.end = start
        self._skip = 0

    def skip(self, duration: int) -> int:
        """Leave out the next `duration` ns: they were there before. Returns the number of samples."""
        samples = round(duration / SAMPLE_NS)
        self._skip += samples
        self.end -= samples * SAMPLE_NS
        return samples

    @property
    def next(self) -> int:
        """The pts of the next block (ns)."""
        return self._next

    def push(self, frame: av.AudioFrame) -> Iterator[Block]:
        """All blocks that `frame` completes.

        Raises:
            ValueError, av.error.FFmpegError: its format cannot be converted; the frame is left out.
        """
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:
            self._drain()
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
            self._shape = shape
        assert self._resampler is not None
        frame.pts = None  # times are counted here
        try:
            self._keep(self._resampler.resample(frame))
        except (ValueError, av.error.FFmpegError):
            self._resampler = self._shape = None  # it cannot be flushed either
            raise
        self.end += frame.samples * SECOND // frame.sample_rate
        while len(self._pending) >= self._size:
            yield self._cut(self._size)

    def flush(self) -> Iterator[Block]:
        """What is left, as a shorter block; the next frame needs a `begin`."""
        self._drain()
        self._shape = None
        while len(self._pending):
            yield self._cut(min(self._size, len(self._pending)))

    def _drain(self) -> None:
        resampler, self._resampler = self._resampler, None
        if resampler is not None:
            self._keep(resampler.resample(None))

    def _keep(self, frames: list[av.AudioFrame]) -> None:
        new = [frame.to_ndarray().reshape(-1).astype(np.int16, copy=False) for frame in frames]
        fresh = np.concatenate(new) if new else np.empty(0, np.int16)
        skipped = min(self._skip, len(fresh))
        self._skip -= skipped
        self._pending = np.concatenate([self._pending, fresh[skipped:]])

    def _cut(self, size: int) -> Block:
        block = Block(self._next, self._pending[:size].astype(np.float32) / np.float32(32768))
        self._pending = self._pending[size:]
        self._next += size * SAMPLE_NS
        return block
