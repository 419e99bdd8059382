"""The drift of two clocks, and sound made a little longer or shorter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emopipe.pipeline.clock import MS, SECOND
from emopipe.stages.media.clock_filter import Drift, Stretch

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
    drift = Drift(int(device[0]), int(read[0]))
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
    drift = Drift(int(device[0]), int(read[0]))
    off = 0.0
    for shown, moment, at in zip(device.astype(int), true, read, strict=True):
        drift.update(int(shown), int(at))
        off = max(off, abs(drift.clock(int(shown)) - moment)) if shown > 10 * SECOND else 0.0
    assert off < 8 * MS
    assert drift.ppm == pytest.approx(40, abs=10)


@given(st.integers(-(10**12), 10**12), st.integers(0, 10**12), st.floats(-400, 400))
def test_exact_readings_are_taken_as_they_are(device: int, clock: int, ppm: float) -> None:
    drift = Drift(device, clock)
    for second in range(1, 300):
        drift.update(device + second * SECOND, clock + round(second * SECOND * (1 + ppm / 1e6)))
    assert drift.ppm == pytest.approx(ppm, abs=abs(ppm) * 0.05 + 0.01)
    later = 310 * SECOND
    assert drift.clock(device + later) == pytest.approx(clock + later * (1 + ppm / 1e6), abs=MS)


def test_one_wild_reading_changes_little() -> None:
    drift = Drift(0, 0)
    for number in range(1, 3000):
        drift.update(number * 20 * MS, number * 20 * MS)
    drift.update(3000 * 20 * MS, 3000 * 20 * MS + 70 * MS)
    assert abs(drift.clock(3000 * 20 * MS) - 3000 * 20 * MS) < MS
    assert abs(drift.ppm) < 5


# -- longer and shorter ------------------------------------------------------------------------------------------------


def wave(count: int, hz: float = 1000.0) -> NDArray[np.float32]:
    return np.sin(2 * np.pi * hz * np.arange(count) / 16_000).astype(np.float32)


def stretched(samples: NDArray[np.float32], ratio: float, sizes: list[int]) -> NDArray[np.float32]:
    stretch = Stretch()
    parts = [stretch.push(part, ratio) for part in np.split(samples, np.cumsum(sizes))]
    return np.concatenate([*parts, stretch.flush()])


@given(st.lists(st.integers(0, 600), max_size=12))
def test_a_ratio_of_one_gives_back_what_came(sizes: list[int]) -> None:
    noise = np.random.default_rng(0).uniform(-1, 1, 4000).astype(np.float32)
    assert np.allclose(stretched(noise, 1.0, sizes), noise, atol=1e-6)


@given(st.floats(0.995, 1.005), st.lists(st.integers(1, 900), max_size=8), st.sampled_from([300.0, 3000.0, 6500.0]))
def test_a_tone_keeps_its_form(ratio: float, sizes: list[int], hz: float) -> None:
    samples = wave(8000, hz)
    given_ = stretched(samples, ratio, sizes)
    assert len(given_) == pytest.approx(8000 * ratio, abs=2)
    expected = np.sin(2 * np.pi * hz * np.arange(len(given_)) / ratio / 16_000)
    middle = slice(100, -100)  # before and after it there is silence, which is not what the sine went on to be
    assert np.abs(given_[middle] - expected[middle]).max() < 3e-3


def test_a_change_of_the_ratio_makes_no_click() -> None:
    stretch = Stretch()
    parts = [stretch.push(part, 1 + 0.005 * (-1) ** number) for number, part in enumerate(np.split(wave(16_000), 100))]
    steps = np.abs(np.diff(np.concatenate(parts)[100:]))
    assert steps.max() < 2 * np.pi * 1000 / 16_000 * 1.01  # no steeper than the tone itself


def test_nothing_gives_nothing() -> None:
    stretch = Stretch()
    assert len(stretch.push(np.empty(0, np.float32), 1.0)) == 0
    assert len(stretch.flush()) == 0
