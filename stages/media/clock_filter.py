"""The drift of an audio device's sample clock against the clock that everything else here goes by.

No sound card keeps its nominal rate. At 100 ppm, which is common, audio and video part by 6 ms a minute.
"""

import math

from emopipe.pipeline.clock import MS, SECOND

READING_NOISE_NS = 20 * MS
"""How far a reading is expected to be off (ns, one standard deviation): it came late or was buffered."""

_MAX_INNOVATION_NS = 3 * READING_NOISE_NS  # what is off by more counts for no more
_RATE_DEVIATION = 300e-6  # how far a device's clock is expected to be off at first (one standard deviation)
_OFFSET_NOISE = 80e-9  # s² a second: how much the offset may change by itself; followed within about 10 s
_RATE_NOISE = 2.5e-13  # 1/s² a second: how much the rate may; followed within about 10 minutes


class ClockFilter:
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
        self._variance = (READING_NOISE_NS / SECOND) ** 2
        self._p00, self._p01, self._p11 = self._variance, 0.0, _RATE_DEVIATION**2

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
        self._p00 += (2 * self._p01 + self._p11 * elapsed + _OFFSET_NOISE) * elapsed
        self._p01 += self._p11 * elapsed
        self._p11 += _RATE_NOISE * elapsed
        off = clock - device - self._origin - self._offset * SECOND
        innovation = min(max(off, -_MAX_INNOVATION_NS), _MAX_INNOVATION_NS) / SECOND
        total = self._p00 + self._variance
        gain, gain_rate = self._p00 / total, self._p01 / total
        self._offset += gain * innovation
        self._rate += gain_rate * innovation
        self._p11 -= gain_rate * self._p01
        self._p01 *= 1 - gain
        self._p00 *= 1 - gain
