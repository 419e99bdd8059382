from pathlib import Path

import numpy as np
import pytest
import torch

from emopipe.pipeline.errors import ModelError
from emopipe.training.facial.hsemotion import HSEmotion
from tests.support.hsemotion import write_weights


def test_reads_the_layers_and_their_labels_order(tmp_path: Path) -> None:
    path = write_weights(tmp_path / "weights.npz")
    network = HSEmotion(path).eval()
    with np.load(path) as arrays:
        np.testing.assert_array_equal(network.head.weight[6].detach(), arrays["fc1_w"][4], err_msg="neutral")
        np.testing.assert_array_equal(network.fer2013_head.weight[4].detach(), arrays["fc1_w"][5], err_msg="sad")
    with torch.inference_mode():
        seen = network.prepare(torch.full((2, 48, 48), 104, dtype=torch.uint8))
        assert seen.shape == (2, 3, 192, 192)
        torch.testing.assert_close(seen[0, :, 0, 0], torch.tensor([0.061, -12.779, -19.68]), atol=1e-3, rtol=0)
        assert network.body[0](torch.zeros(1, 3, 193, 193)).shape[-1] == 96, "TensorFlow's padding: below and right"
        assert network.judge(seen[:1]).people.shape == (1, 7)


def test_other_weights_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    with pytest.raises(ModelError, match=r"weights\.npz: not HSEmotion's weights"):
        HSEmotion(path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(ModelError, match=r"not HSEmotion's weights .*0_d_w"):
        HSEmotion(path)
