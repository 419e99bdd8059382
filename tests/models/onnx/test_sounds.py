"""Windows of speech as other makers' models take them: sound or MFCC, of one length or of any."""

from pathlib import Path

import numpy as np
import pytest

from emopipe.models.onnx.files import read
from emopipe.models.onnx.sounds import Features, SoundInput, sound_input
from emopipe.pipeline.errors import ModelError
from tests.support.onnx_models import Shape, onnx_model

SOUND = np.linspace(-0.5, 0.5, 1000, dtype=np.float32)
MFCC = np.arange(7 * 40, dtype=np.float32).reshape(7, 40)


def fed(path: Path, shape: Shape, features: Features = "auto", *, standardise: bool = False) -> SoundInput:
    return sound_input(read(onnx_model(path / "own.onnx", shape, over=(1,))), features, standardise)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ((1, "T"), SOUND[None]),
        (("N", 1, "T"), SOUND[None, None]),
        (("N", "T", 1), SOUND[None, :, None]),
        (("N", "T", 40), MFCC[None]),
        (("N", 40, "T"), MFCC.T[None]),
    ],
)
def test_the_shape_says_what_is_wanted(tmp_path: Path, shape: Shape, expected: np.ndarray) -> None:
    row = fed(tmp_path, shape).read(MFCC, SOUND)
    assert row.dtype == np.float32
    np.testing.assert_array_equal(row, expected)


def test_of_a_longer_window_the_newest_is_heard_and_before_a_shorter_one_is_silence(tmp_path: Path) -> None:
    np.testing.assert_array_equal(fed(tmp_path, (1, 300)).read(MFCC, SOUND), SOUND[None, -300:])
    longer = fed(tmp_path, (1, 1200)).read(MFCC, SOUND)
    np.testing.assert_array_equal(longer, np.concatenate([np.zeros(200, np.float32), SOUND])[None])
    frames = fed(tmp_path, ("N", 9, 40)).read(MFCC, SOUND)
    np.testing.assert_array_equal(frames[0], np.concatenate([MFCC[:1], MFCC[:1], MFCC]))


def test_standardised_sound_has_mean_0_and_deviation_1(tmp_path: Path) -> None:
    row = fed(tmp_path, (1, "T"), standardise=True).read(MFCC, 0.3 + 0.01 * SOUND)
    assert (row.mean(), row.std()) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=0.01))


@pytest.mark.parametrize(
    ("shape", "features", "message"),
    [
        (("N", 1, 64, 64), "auto", r"takes no windows of speech; float32 of \[1, samples\]"),
        (("N", "T", 13), "auto", "does not take sound"),
        ((4, "T"), "auto", "takes no windows of speech"),
        ((1, "T"), "mfcc", "does not take mfcc"),
        (("N", "T", 40), "sound", "does not take sound"),
    ],
)
def test_what_does_not_fit_is_told(tmp_path: Path, shape: Shape, features: Features, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        fed(tmp_path, shape, features)
