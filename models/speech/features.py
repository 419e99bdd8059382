"""The features of a voice, the same in training and in a stream: 40 MFCC, then deltas over a window.

A frame depends on its own 400 samples and on nothing else: no padding at the ends (`center=False`), a plain
logarithm instead of decibels under the clip's loudest value (`AmplitudeToDB(top_db)` looks at the whole clip).
So a stream computes each frame once, and a window of a stream holds the very numbers that training saw.
"""

import math
from functools import cache
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import torch

Floats = npt.NDArray[np.float32]

# A GEMM's rounding may depend on how many rows it is given and on which row a frame lies. So frames always go
# through the transform 16 at a time, frame i in row i mod 16, the rest zeros: any chunking gives the same bits.
_BLOCK_FRAMES = 16
_LOG_OFFSET = 1e-6  # of the bands' powers: silence is not minus infinity


class MfccSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of the features; a checkpoint carries those it was trained on.

    `sample_rate`, `f_min` and `f_max` are in Hz, `window` and `hop` in samples, `delta_window` in frames.
    """

    sample_rate: int = 16000
    coefficients: int = 40
    window: int = 400
    hop: int = 160
    mels: int = 64
    f_min: float = 50.0
    f_max: float = 8000.0
    delta_window: int = 5

    def frames(self, samples: int) -> int:
        """The number of whole frames in so many samples."""
        return max(0, (samples - self.window) // self.hop + 1)


class StreamingMfcc:
    """Computes each frame of a stream once, as soon as its last sample is there.

    Frame `i` covers samples `[i * hop, i * hop + window)` counted from the first one pushed. The frames are
    bit-identical however the samples are cut into chunks.
    """

    def __init__(self, spec: MfccSpec | None = None) -> None:
        self.spec = spec or MfccSpec()
        self.reset()

    def reset(self) -> None:
        """Forget the past: the next sample is sample 0."""
        self._pending = np.empty(0, np.float32)
        self._frames = 0

    def push(self, samples: Floats) -> Floats:
        """Take mono samples in [-1, 1], float32 [n]; give the frames they complete, float32 [k, coefficients]."""
        spec = self.spec
        self._pending = np.concatenate([self._pending, samples])
        count = spec.frames(len(self._pending))
        if not count:
            return np.empty((0, spec.coefficients), np.float32)
        frames = np.lib.stride_tricks.sliding_window_view(self._pending, spec.window)[:: spec.hop]
        result = np.empty((count, spec.coefficients), np.float32)
        done = 0
        while done < count:
            row = (self._frames + done) % _BLOCK_FRAMES
            size = min(_BLOCK_FRAMES - row, count - done)
            block = np.zeros((_BLOCK_FRAMES, spec.window), np.float32)
            block[row : row + size] = frames[done : done + size]
            result[done : done + size] = _transform(spec, block)[row : row + size]
            done += size
        self._frames += count
        self._pending = self._pending[count * spec.hop :].copy()
        return result


def mfcc(samples: Floats, spec: MfccSpec | None = None) -> Floats:
    """All whole frames of a recording: float32 [n] mono at the spec's rate -> float32 [T, coefficients]."""
    return StreamingMfcc(spec).push(samples)


def window_features(mfcc: "torch.Tensor", spec: MfccSpec | None = None) -> "torch.Tensor":
    """MFCC, their deltas and the deltas' deltas over one window: [..., T, 40] -> [..., T, 120]."""
    import torch

    reach = (spec or MfccSpec()).delta_window // 2
    delta = _deltas(mfcc, reach)
    return torch.cat([mfcc, delta, _deltas(delta, reach)], dim=-1)


def _deltas(frames: "torch.Tensor", reach: int) -> "torch.Tensor":
    """The slope at each frame, by regression over `reach` frames on either side: [..., T, n] -> [..., T, n].

    HTK's (Young et al., The HTK Book, eq. 5.16), the first and last frames repeated beyond the ends.
    """
    import torch

    count, width = frames.shape[-2:]
    rows = frames.transpose(-1, -2).reshape(1, -1, count)
    steps = torch.arange(-reach, reach + 1, dtype=frames.dtype, device=frames.device)
    padded = torch.nn.functional.pad(rows, (reach, reach), mode="replicate")
    slopes = torch.nn.functional.conv1d(padded, steps.repeat(rows.shape[1], 1, 1), groups=rows.shape[1])
    squares = reach * (reach + 1) * (2 * reach + 1) / 3  # the sum of steps ** 2
    return (slopes / squares).reshape(*frames.shape[:-2], width, count).transpose(-1, -2)


def _transform(spec: MfccSpec, frames: Floats) -> Floats:
    """Frames of samples [n, window] -> MFCC [n, coefficients], without liftering."""
    import torch

    taper, filters, cosines = _matrices(spec)
    with torch.inference_mode():
        power = torch.fft.rfft(torch.from_numpy(frames) * taper).abs().pow(2)
        bands = torch.log(_each(power, filters) + _LOG_OFFSET)
        result: Floats = _each(bands, cosines).numpy()
    return result


def _each(rows: "torch.Tensor", matrix: "torch.Tensor") -> "torch.Tensor":
    """Each row [n, a] times a matrix [a, b], to the bit as torchaudio's MFCC does: the weights learned from those."""
    import torch

    return torch.bmm(rows[:, None], matrix.expand(len(rows), -1, -1))[:, 0]


@cache
def _matrices(spec: MfccSpec) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
    """The Hann window [window], triangular mel filters [bins, mels] and the orthonormal DCT-II [mels, coefficients].

    The filters' peaks are 1, their corners evenly spaced on HTK's mel scale, 2595 log10(1 + f / 700).
    """
    import torch

    low, high = (2595 * math.log10(1 + hertz / 700) for hertz in (spec.f_min, spec.f_max))
    corners = 700 * (10 ** (torch.linspace(low, high, spec.mels + 2) / 2595) - 1)
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    bins = torch.linspace(0, spec.sample_rate // 2, spec.window // 2 + 1)[:, None]
    filters = torch.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clamp(min=0)

    order, place = torch.arange(float(spec.coefficients))[:, None], torch.arange(float(spec.mels))
    cosines = torch.cos(math.pi / spec.mels * (place + 0.5) * order)
    cosines[0] /= math.sqrt(2)
    return torch.hann_window(spec.window), filters, (cosines * math.sqrt(2 / spec.mels)).T
