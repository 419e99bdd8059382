"""The features of a voice, the same in training and in a stream: 40 MFCC, then deltas over a window.

A frame depends on its own 400 samples and on nothing else: no padding at the ends (`center=False`), a plain
logarithm instead of decibels under the clip's loudest value (`AmplitudeToDB(top_db)` looks at the whole clip).
So a stream computes each frame once, and a window of a stream holds the very numbers that training saw.
"""

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
    """MFCC, their deltas and the deltas' deltas over one window: [..., T, 40] -> [..., T, 120].

    The deltas are the regression of HTK (Young et al., The HTK Book, eq. 5.16), the window's first and last
    frames repeated beyond its ends.
    """
    import torch
    from torchaudio.functional import compute_deltas

    width = (spec or MfccSpec()).delta_window
    static = mfcc.transpose(-1, -2)
    delta = compute_deltas(static, width)
    return torch.cat([static, delta, compute_deltas(delta, width)], dim=-2).transpose(-1, -2)


def _transform(spec: MfccSpec, frames: Floats) -> Floats:
    import torch

    with torch.inference_mode():
        result: Floats = _mfcc_of(spec)(torch.from_numpy(frames))[..., 0].numpy()
    return result


@cache
def _mfcc_of(spec: MfccSpec) -> "torch.nn.Module":
    from torchaudio.transforms import MFCC

    transform: torch.nn.Module = MFCC(
        spec.sample_rate,
        spec.coefficients,
        log_mels=True,
        melkwargs={
            "n_fft": spec.window,
            "hop_length": spec.hop,
            "center": False,
            "n_mels": spec.mels,
            "f_min": spec.f_min,
            "f_max": spec.f_max,
        },
    )
    return transform
