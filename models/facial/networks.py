"""Networks for faces: 48×48 grey crops framed as FER2013's, in; one logit a label of `labels.FACE`, out."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from emopipe.models.facial.base import FaceNetwork
from emopipe.models.labels import FACE
from emopipe.pipeline.errors import ModelError


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
