"""The moving average of weights, and batch norms that fit it."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from emopipe.models.facial.base import prepare
from emopipe.models.facial.networks import CustomCNN
from emopipe.training.facial.averaging import calibrate_norms, moving_average
from emopipe.training.facial.fer2013 import Split


def test_the_average_is_short_at_first_and_then_as_long_as_it_should_be() -> None:
    update = moving_average(0.9)
    average, new = [torch.zeros(1)], [torch.ones(1)]
    update(average, new, torch.tensor(0))
    assert float(average[0]) == pytest.approx(0.9)  # of the random start a tenth is left
    average = [torch.zeros(1)]
    update(average, new, torch.tensor(100_000))
    assert float(average[0]) == pytest.approx(0.1)


def test_norms_take_the_statistics_of_the_images() -> None:
    torch.manual_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (64, 48, 48), np.uint8)
    average = AveragedModel(CustomCNN(), multi_avg_fn=moving_average(0.9))
    calibrate_norms(average, Split(images, np.zeros(64, np.int64)))
    assert not average.training
    first, norm = average.module.features[0], average.module.features[1]
    assert isinstance(norm, nn.BatchNorm2d)
    with torch.inference_mode():
        seen = first(prepare(images)).mean((0, 2, 3))
    torch.testing.assert_close(norm.running_mean, seen, atol=1e-4, rtol=1e-3)
