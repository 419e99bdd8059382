"""Two clocks: the sample clock of a sound device, and the one that everything else here goes by.

No sound card keeps its nominal rate. At 100 ppm, which is common, sound and pictures part by 6 ms a minute. `Drift`
measures how the clocks run against each other, `Stretch` makes sound a little longer or shorter.
"""

import math

import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.clock import MS, SECOND

NOISE = 20 * MS
"""How far a reading is expected to be off (ns, one standard deviation): it came late or was buffered."""

_CLIP = 3 * NOISE  # what is off by more counts for no more
_FASTEST = 300e-6  # how far a device's clock is expected to be off at first (one standard deviation)
_WANDER = 80e-9  # s² a second: how much the offset may change by itself; followed within about 10 s
_AGEING = 2.5e-13  # 1/s² a second: how much the rate may; followed within about 10 minutes


class Drift:
    """How a device's clock runs against ours, from noisy pairs of readings: a Kalman filter of two states.

    The state is the offset (ours − the device's) and the rate at which it grows. A new filter is as quick as a least
    squares fit; later it forgets, so that it follows a clock that gets warm. The state is six numbers, however long
    it runs. Model and equations: Galleani and Tavella, "Time and the Kalman Filter" (IEEE Control Systems 30(2), 2010).

    Args:
        device, clock: the first pair of readings (ns).
    """

    def __init__(self, device: int, clock: int) -> None:
        self._at = device
        self._origin = clock - device  # ns; taken out, so that the floats stay small and exact
        self._offset = 0.0  # s
        self._rate = 0.0
        self._variance = (NOISE / SECOND) ** 2
        self._p00, self._p01, self._p11 = self._variance, 0.0, _FASTEST**2

    @property
    def ppm(self) -> float:
        """How much too slow the device's clock is, in parts per million: its seconds are longer than ours by this."""
        return self._rate * 1e6

    @property
    def uncertainty(self) -> float:
        """The standard deviation of `ppm`, by the filter's own account: 40 after a minute, 10 after half an hour."""
        return math.sqrt(self._p11) * 1e6

    def clock(self, device: int) -> int:
        """Our time (ns) when the device's clock shows `device` (ns)."""
        elapsed = (device - self._at) / SECOND
        return device + self._origin + round((self._offset + self._rate * elapsed) * SECOND)

    def update(self, device: int, clock: int) -> None:
        """When the device's clock showed `device` ours showed about `clock` (ns); `device` never goes back."""
        elapsed = (device - self._at) / SECOND
        self._at = device
        self._offset += self._rate * elapsed
        self._p00 += (2 * self._p01 + self._p11 * elapsed + _WANDER) * elapsed
        self._p01 += self._p11 * elapsed
        self._p11 += _AGEING * elapsed
        off = clock - device - self._origin - self._offset * SECOND
        innovation = min(max(off, -_CLIP), _CLIP) / SECOND
        total = self._p00 + self._variance
        gain, gain_rate = self._p00 / total, self._p01 / total
        self._offset += gain * innovation
        self._rate += gain_rate * innovation
        self._p11 -= gain_rate * self._p01
        self._p01 *= 1 - gain
        self._p00 *= 1 - gain


_HALF = 16  # samples on each side that make one in between: flat within 0.1 dB to 7 kHz at 16 kHz
_PHASES = 2048


def _kernels() -> NDArray[np.float32]:
    """Windowed sinc for each fraction of a sample, [phases + 1, taps]; each sums up to 1."""
    at = np.arange(1 - _HALF, _HALF + 1) - np.linspace(0, 1, _PHASES + 1)[:, None]
    kernels = np.sinc(at) * np.kaiser(2 * _HALF * 1024 + 1, 8.0)[np.rint((at + _HALF) * 1024).astype(int)]
    normalised: NDArray[np.float32] = (kernels / kernels.sum(axis=1, keepdims=True)).astype(np.float32)
    return normalised


class Stretch:
    """Makes sound a little longer or shorter, by band-limited interpolation (Smith and Gossett, ICASSP 1984).

    The ratio may change at every call without a click. A ratio of 1 gives back what came.
    """

    _table: NDArray[np.float32] | None = None

    def __init__(self) -> None:
        if Stretch._table is None:
            Stretch._table = _kernels()
        self._kernels = Stretch._table
        self._held = np.zeros(_HALF - 1, np.float32)
        self._next = float(_HALF - 1)  # where in `_held` the next sample to give lies

    @property
    def pending(self) -> float:
        """How many samples of what came lie behind the place where the next sample to give is."""
        return len(self._held) - self._next

    def push(self, samples: NDArray[np.float32], ratio: float) -> NDArray[np.float32]:
        """Everything that can be given by now; `ratio` is how many samples to give for each that comes."""
        self._held = np.concatenate([self._held, samples])
        return self._give(len(self._held) - _HALF, ratio)

    def flush(self) -> NDArray[np.float32]:
        """What is left; nothing may be pushed afterwards."""
        length = len(self._held)
        self._held = np.concatenate([self._held, np.zeros(_HALF, np.float32)])
        return self._give(length, 1.0)

    def _give(self, end: int, ratio: float) -> NDArray[np.float32]:
        """The samples at the places before `end`."""
        count = max(0, int(np.ceil((end - self._next) * ratio)))
        places = self._next + np.arange(count) / ratio
        whole = np.floor(places).astype(np.int64)
        phase = np.rint((places - whole) * _PHASES).astype(np.int64)
        taps = whole[:, None] + np.arange(1 - _HALF, _HALF + 1)
        given: NDArray[np.float32] = np.einsum("nt,nt->n", self._held[taps], self._kernels[phase])
        self._next += count / ratio
        spare = max(0, int(self._next) - (_HALF - 1))
        self._held = self._held[spare:]
        self._next -= spare
        return given
