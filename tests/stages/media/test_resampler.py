"""Audio made a little longer or shorter."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emopipe.stages.media.resampler import Resampler


def wave(count: int, hz: float = 1000.0) -> NDArray[np.float32]:
    return np.sin(2 * np.pi * hz * np.arange(count) / 16_000).astype(np.float32)


def stretched(samples: NDArray[np.float32], ratio: float, sizes: list[int]) -> NDArray[np.float32]:
    stretch = Resampler()
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
    stretch = Resampler()
    parts = [stretch.push(part, 1 + 0.005 * (-1) ** number) for number, part in enumerate(np.split(wave(16_000), 100))]
    steps = np.abs(np.diff(np.concatenate(parts)[100:]))
    assert steps.max() < 2 * np.pi * 1000 / 16_000 * 1.01  # no steeper than the tone itself


def test_nothing_gives_nothing() -> None:
    stretch = Resampler()
    assert len(stretch.push(np.empty(0, np.float32), 1.0)) == 0
    assert len(stretch.flush()) == 0
