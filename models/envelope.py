"""The envelope of a voice: how loud it is, step by step."""

import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.clock import MS

STEP_NS = 20 * MS
_STEP_SAMPLES = 320  # at 16 kHz
_MIN_POWER = 1e-12  # -120 dB: digital silence has no logarithm


def envelope(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """The level of each whole step of a sound float32 [n] of 16 kHz, in dB relative to full scale.

    The last step ends where the sound does.
    """
    steps = len(samples) // _STEP_SAMPLES
    sound = samples[len(samples) - steps * _STEP_SAMPLES :].astype(np.float64).reshape(steps, _STEP_SAMPLES)
    levels: NDArray[np.float32] = (10 * np.log10(np.mean(sound**2, axis=1) + _MIN_POWER)).astype(np.float32)
    return levels
