"""Networks for faces: 48×48 grey crops framed as FER2013's, in; one logit a label of `labels.FACE`, out."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from emopipe.models.facial.base import FaceNetwork
from emopipe.models.labels import FACE
from emopipe.pipeline.errors import ModelError


def convolution(inputs: int, outputs: int) -> list[nn.Module]:
    """A 3×3 convolution with its norm and ReLU."""
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut (He et al. 2016, arXiv:1512.03385)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm1: nn.Module = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm2: nn.Module = nn.BatchNorm2d(width)
        # Starting as its shortcut alone, a deep stack learns sooner (Goyal et al. 2017, arXiv:1706.02677).
        nn.init.zeros_(self.norm2.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.conv1(x)), inplace=True)
        return F.relu(self.norm2(self.conv2(y)) + x, inplace=True)


class CustomCNN(FaceNetwork):
    """A residual network of 1.95 M parameters, made for one CPU core.

    Two convolutions see all 48×48 pixels; after each halving by the largest value come one more, which widens, and a
    residual block, at 24², 12² and 6² pixels. Dense convolutions: on CPU they do twice as many products a second as
    depthwise ones, in training and in use.

    Attributes:
        widths: channels, from the first to the last.
        activation_ranges: least and largest of the input, and of what follows each convolution and each sum, over
            training faces, [V, 2]; 0 before training. By them a CPU computes it in 8 bits.
    """

    def __init__(
        self, widths: Sequence[int] = (32, 64, 128, 256), dropout: float = 0.2, classes: int = len(FACE)
    ) -> None:
        super().__init__(widths[-1], dropout, classes)
        self.widths = tuple(widths)
        layers = convolution(1, widths[0]) + convolution(widths[0], widths[0])
        for inputs, outputs in pairwise(widths):
            layers += [nn.MaxPool2d(2), *convolution(inputs, outputs), ResidualBlock(outputs)]
        self.features = nn.Sequential(*layers)
        self.activation_ranges: Tensor
        self.register_buffer("activation_ranges", torch.zeros(3 + 4 * (len(widths) - 1), 2))

    def embed(self, x: Tensor) -> Tensor:
        maps: Tensor = self.features(x)
        return maps.mean((2, 3))


def _backbone(name: str, **options: Any) -> FaceNetwork:
    """Make a network of `backbones`, imported here since torchvision takes seconds that only its users should pay.

    Raises:
        ModelError: torchvision is not installed.
    """
    try:
        from emopipe.models.facial import backbones
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "torchvision":
            raise
        raise ModelError("this network needs torchvision: pip install 'emopipe[train]'") from None

    network: FaceNetwork = getattr(backbones, name)(**options)
    return network


NETWORKS: dict[str, Callable[..., FaceNetwork]] = {
    "custom": CustomCNN,
    "vgg16": partial(_backbone, "VGG16"),
    "resnet50": partial(_backbone, "ResNet50"),
    "mobilenet": partial(_backbone, "MobileNet"),
}
