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

# An array's arithmetic may round differently by its shape, and by where in it a number lies. So frames always go
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
    taper, filters, cosines = _matrices(spec)
    bands = np.log(row_products(power_spectra(frames * taper, spec.window), filters) + np.float32(_LOG_OFFSET))
    return row_products(bands, cosines)


def power_spectra(frames: Floats, size: int) -> Floats:
    """Frames of samples [n, at most `size`] -> the power in each of their bins, [n, size // 2 + 1]."""
    spectra = np.fft.rfft(frames, size)
    power: Floats = spectra.real**2 + spectra.imag**2  # type: ignore[assignment]  # NumPy 2 keeps float32
    return power


def row_products(rows: Floats, matrix: Floats) -> Floats:
    """Rows [n, a] times those of a matrix [b, a], [n, b]; without a BLAS, whose threads wait at full speed for more."""
    products: Floats = np.einsum("na,ba->nb", rows, matrix)
    return products


@cache
def _matrices(spec: MfccSpec) -> tuple[Floats, Floats, Floats]:
    """The Hann window [window], triangular mel filters [mels, bins] and the orthonormal DCT-II [coefficients, mels].

    The filters' peaks are 1, their corners evenly spaced on HTK's mel scale, 2595 log10(1 + f / 700).
    """
    low, high = (2595 * math.log10(1 + hertz / 700) for hertz in (spec.f_min, spec.f_max))
    corners = 700 * (10 ** (np.linspace(low, high, spec.mels + 2) / 2595) - 1)[:, None]
    left, centre, right = corners[:-2], corners[1:-1], corners[2:]
    bins = np.linspace(0, spec.sample_rate // 2, spec.window // 2 + 1)
    filters = np.minimum((bins - left) / (centre - left), (right - bins) / (right - centre)).clip(min=0)

    cosines = np.cos(np.pi / spec.mels * np.outer(np.arange(spec.coefficients), np.arange(spec.mels) + 0.5))
    cosines[0] /= math.sqrt(2)
    cosines *= math.sqrt(2 / spec.mels)
    taper = np.hanning(spec.window + 1)[:-1]  # periodic
    return taper.astype(np.float32), filters.astype(np.float32), cosines.astype(np.float32)
