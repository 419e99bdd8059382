"""The base of every network for faces: the preparation of crops, and the interface of training and inference."""

from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

SIZE = 48
"""Height and width of a crop, in pixels."""

# Mean and standard deviation of FER2013's Training images, so that inputs are about N(0, 1).
MEAN, STD = 0.5077, 0.2550


def prepare(gray: NDArray[np.uint8] | Tensor) -> Tensor:
    """Normalise grey crops for every network here: uint8 [N, 48, 48] → float32 [N, 1, 48, 48].

    One function for training, evaluation and the stages, so that they cannot drift apart.
    """
    images = torch.as_tensor(gray)
    return images.unsqueeze(1).to(torch.float32).div_(255.0).sub_(MEAN).div_(STD)


class FaceNetwork(nn.Module):
    """Base of networks for faces. A new one is one class, and its name in `emopipe.models.facial.networks.NETWORKS`:

        class Tiny(FaceNetwork):
            def __init__(self, dropout: float = 0.2, classes: int = len(FACE)) -> None:
                super().__init__()
                self.features = nn.Sequential(nn.Conv2d(1, 32, 7, stride=4, bias=False), nn.BatchNorm2d(32), nn.ReLU())
                self.dropout, self.head = nn.Dropout(dropout), nn.Linear(32, classes)

            def embed(self, x: Tensor) -> Tensor:
                return self.features(x).mean((2, 3))

    `embed` should end in a mean over all pixels: then a network also takes smaller faces, as training begins with.
    """

    dropout: nn.Module
    head: nn.Linear

    def embed(self, x: Tensor) -> Tensor:
        """Faces [N, 1, 48, 48], as `prepare` makes them, → what the head judges by, [N, head.in_features]."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Faces [N, 1, 48, 48] → logits [N, classes]."""
        logits: Tensor = self.head(self.dropout(self.embed(x)))
        return logits

    def fold(self) -> None:
        """For inference only, in place: merge each batch norm into the convolution that stands right before it.

        A module must hold both in the order in which it applies them, as those here and torchvision's do.
        """
        for parent in list(self.modules()):
            children = list(parent.named_children())
            for (name, convolution), (next_name, norm) in pairwise(children):
                if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    parent.add_module(name, fuse_conv_bn_eval(convolution, norm))
                    parent.add_module(next_name, nn.Identity())
