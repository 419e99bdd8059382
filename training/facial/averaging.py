"""Averaging a network's weights while it trains."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from emopipe.models.facial.base import prepare
from emopipe.training.facial import fer2013
from emopipe.training.facial.batches import FaceBatches


def moving_average(decay: float) -> Callable[[Any, Any, Any], None]:
    """An exponential moving average for `AveragedModel`, shorter at first so as to forget the random start."""

    @torch.no_grad()
    def update(averaged: list[Tensor], current: list[Tensor], count: Tensor) -> None:
        step = float(count)
        weight = 1 - min(decay, (1 + step) / (10 + step))
        for old, new in zip(averaged, current, strict=True):
            old.lerp_(new, weight)

    return update


def calibrate_norms(network: nn.Module, split: fer2013.Split, count: int = 4096) -> None:
    """Give batch norms the statistics that `network`'s own weights make of (some of) the images.

    Averaged weights make other ones than any of the weights they were averaged from (Izmailov et al. 2018,
    arXiv:1803.05407): with those, the same weights got 0.8 points less.
    """
    device = next(network.parameters()).device
    chosen = np.random.default_rng(0).permutation(len(split))[:count]
    some = fer2013.Split(split.images[chosen], split.targets[chosen])
    update_bn((prepare(images) for images, _ in FaceBatches(some, 256, device)), network)
    network.eval()
