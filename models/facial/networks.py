"""Networks for faces: 48×48 grey crops framed as FER2013's, in; one logit a label of `labels.FACE`, out."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from emopipe.models.labels import FACE

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
    """What training and inference need of a network for faces. A new one is one class, and its name in `NETWORKS`:

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


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions around a shortcut (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1: nn.Module = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2: nn.Module = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        # Starting as its shortcut alone, a deep stack learns sooner (Goyal et al. 2017, arXiv:1706.02677).
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x), inplace=True)


class CustomCNN(FaceNetwork):
    """A residual network of 1.6 M parameters, made for one CPU core.

    The stem halves a face to 24×24; the four stages then work on 24², 12², 6² and 3² pixels. Dense convolutions:
    on CPU they do twice as many products a second as depthwise ones, in training and in use.

    `forward` takes [N, 1, 48, 48] as `prepare` makes it and returns logits [N, classes].
    """

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 128, 256),
        depths: Sequence[int] = (1, 2, 2, 1),
        dropout: float = 0.2,
        classes: int = len(FACE),
    ) -> None:
        super().__init__()
        stem = widths[0]
        layers: list[nn.Module] = [
            nn.Conv2d(1, stem, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(inplace=True),
        ]
        inputs = stem
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for block in range(depth):
                layers.append(ResidualBlock(inputs, width, stride=2 if block == 0 and stage > 0 else 1))
                inputs = width
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(inputs, classes)

    def embed(self, x: Tensor) -> Tensor:
        maps: Tensor = self.features(x)
        return maps.mean((2, 3))


def _vgg16(**options: Any) -> FaceNetwork:
    from emopipe.models.facial.backbones import VGG16

    return VGG16(**options)


def _resnet50(**options: Any) -> FaceNetwork:
    from emopipe.models.facial.backbones import ResNet50

    return ResNet50(**options)


def _mobilenet(**options: Any) -> FaceNetwork:
    from emopipe.models.facial.backbones import MobileNet

    return MobileNet(**options)


# By functions, since importing torchvision takes seconds that only its users should pay.
NETWORKS: dict[str, Callable[..., FaceNetwork]] = {
    "custom": CustomCNN,
    "vgg16": _vgg16,
    "resnet50": _resnet50,
    "mobilenet": _mobilenet,
}
