"""The drift of two clocks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emopipe.pipeline.clock import MS, SECOND
from emopipe.stages.media.clock_filter import ClockFilter

HALF_AN_HOUR = 1800.0


def readings(ppm: float, seconds: float, frame: float, jitter: int, seed: int) -> tuple[NDArray[np.float64], ...]:
    """What the device's clock shows at each frame, our true time then, and the time that is read (ns)."""
    device = np.arange(0, seconds, frame) * SECOND
    true = 5 * SECOND + device * (1 + ppm / 1e6)
    return device, true, true + np.random.default_rng(seed).uniform(-jitter, jitter, len(true))


@pytest.mark.parametrize("ppm", [-300, -20, 0, 300])
@pytest.mark.parametrize("frame", [0.02, 0.064])
def test_half_an_hour_of_jitter(ppm: float, frame: float) -> None:
    device, true, read = readings(ppm, HALF_AN_HOUR, frame, 30 * MS, seed=1)
    drift = ClockFilter(int(device[0]), int(read[0]))
    off, measured = [], []
    for shown, at in zip(device[1:].astype(int), read[1:].astype(int), strict=True):
        drift.update(int(shown), int(at))
        off.append(drift.clock(int(shown)))
        measured.append(drift.ppm)
    settled = round(10 / frame)
    assert np.abs(np.array(off) - true[1:])[settled:].max() < 8 * MS
    assert np.abs(np.array(measured[len(measured) // 2 :]) - ppm).max() < 8
    assert abs(np.mean(measured[len(measured) // 2 :]) - ppm) < 1.5


def test_a_clock_that_warms_up_is_followed() -> None:
    """From -20 to 40 ppm within 10 minutes."""
    device = np.arange(0, 2700, 0.064) * SECOND
    rate = np.interp(device, [0, 300 * SECOND, 900 * SECOND], [-20, -20, 40])
    true = np.cumsum(0.064 * SECOND * (1 + rate / 1e6))
    read = true + np.random.default_rng(2).uniform(-10 * MS, 10 * MS, len(true))
    drift = ClockFilter(int(device[0]), int(read[0]))
    off = 0.0
    for shown, moment, at in zip(device.astype(int), true, read, strict=True):
        drift.update(int(shown), int(at))
        off = max(off, abs(drift.clock(int(shown)) - moment)) if shown > 10 * SECOND else 0.0
    assert off < 8 * MS
    assert drift.ppm == pytest.approx(40, abs=10)


@given(st.integers(-(10**12), 10**12), st.integers(0, 10**12), st.floats(-400, 400))
def test_exact_readings_are_taken_as_they_are(device: int, clock: int, ppm: float) -> None:
    drift = ClockFilter(device, clock)
    for second in range(1, 300):
        drift.update(device + second * SECOND, clock + round(second * SECOND * (1 + ppm / 1e6)))
    assert drift.ppm == pytest.approx(ppm, abs=abs(ppm) * 0.05 + 0.01)
    later = 310 * SECOND
    assert drift.clock(device + later) == pytest.approx(clock + later * (1 + ppm / 1e6), abs=MS)


def test_one_wild_reading_changes_little() -> None:
    drift = ClockFilter(0, 0)
    for number in range(1, 3000):
        drift.update(number * 20 * MS, number * 20 * MS)
    drift.update(3000 * 20 * MS, 3000 * 20 * MS + 70 * MS)
    assert abs(drift.clock(3000 * 20 * MS) - 3000 * 20 * MS) < MS
    assert abs(drift.ppm) < 5
