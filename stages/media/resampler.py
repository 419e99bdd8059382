"""Audio made a little longer or shorter, with a ratio that may change at any time."""

import numpy as np
from numpy.typing import NDArray

_HALF_TAPS = 16  # samples on each side that make one in between: flat within 0.1 dB to 7 kHz at 16 kHz
_PHASES = 2048


def _kernels() -> NDArray[np.float32]:
    """Windowed sinc for each fraction of a sample, [phases + 1, taps]; each sums up to 1."""
    at = np.arange(1 - _HALF_TAPS, _HALF_TAPS + 1) - np.linspace(0, 1, _PHASES + 1)[:, None]
    kernels = np.sinc(at) * np.kaiser(2 * _HALF_TAPS * 1024 + 1, 8.0)[np.rint((at + _HALF_TAPS) * 1024).astype(int)]
    normalised: NDArray[np.float32] = (kernels / kernels.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised


class Resampler:
    """Makes audio a little longer or shorter, by band-limited interpolation (Smith and Gossett, ICASSP 1984).

    The ratio may change at every call without a click. A ratio of 1 gives back what came.
    """

    _table: NDArray[np.float32] | None = None

    def __init__(self) -> None:
        if Resampler._table is None:
            Resampler._table = _kernels()
        self._kernels = Resampler._table
        self._pending = np.zeros(_HALF_TAPS - 1, np.float32)
        self._next = float(_HALF_TAPS - 1)  # where in `_pending` the next sample to give lies

    @property
    def pending(self) -> float:
        """How many samples of what came lie behind the place where the next sample to give is."""
        return len(self._pending) - self._next

    def push(self, samples: NDArray[np.float32], ratio: float) -> NDArray[np.float32]:
        """Everything that can be given by now; `ratio` is how many samples to give for each that comes."""
        self._pending = np.concatenate([self._pending, samples])
        return self._give(len(self._pending) - _HALF_TAPS, ratio)

    def flush(self) -> NDArray[np.float32]:
        """What is left; nothing may be pushed afterwards."""
        length = len(self._pending)
        self._pending = np.concatenate([self._pending, np.zeros(_HALF_TAPS, np.float32)])
        return self._give(length, 1.0)

    def _give(self, end: int, ratio: float) -> NDArray[np.float32]:
        """The samples at the places before `end`."""
        count = max(0, int(np.ceil((end - self._next) * ratio)))
        places = self._next + np.arange(count) / ratio
        whole = np.floor(places).astype(np.int64)
        phase = np.rint((places - whole) * _PHASES).astype(np.int64)
        taps = whole[:, None] + np.arange(1 - _HALF_TAPS, _HALF_TAPS + 1)
        given: NDArray[np.float32] = np.einsum("nt,nt->n", self._pending[taps], self._kernels[phase])
        self._next += count / ratio
        spare = max(0, int(self._next) - (_HALF_TAPS - 1))
        self._pending = self._pending[spare:]
        self._next -= spare
        return given
