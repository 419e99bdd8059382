"""Networks for faces: 48×48 grey crops framed as FER2013's, in; one logit a label of `labels.FACE`, out."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from models.labels import FACE

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


def merged(convolution: nn.Module, norm: nn.Module) -> nn.Conv2d:
    """One convolution that does what a convolution and a batch norm in evaluation mode do."""
    if not isinstance(convolution, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
        raise TypeError(f"cannot merge {type(norm).__name__} into {type(convolution).__name__}; already folded?")
    return fuse_conv_bn_eval(convolution, norm)


class SqueezeExcite(nn.Module):
    """Channel attention (Hu et al. 2018, arXiv:1709.01507)."""

    def __init__(self, channels: int, reduction: int = 8) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(channels, channels // reduction, 1)
        self.excite = nn.Conv2d(channels // reduction, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        gate = F.relu(self.squeeze(x.mean((2, 3), keepdim=True)))
        return x * torch.sigmoid(self.excite(gate))


class SeparableBlock(nn.Module):
    """A depthwise 3×3 and a pointwise 1×1 convolution (MobileNet, arXiv:1704.04861), residual where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int, attention: bool) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False)
        self.norm1: nn.Module = nn.BatchNorm2d(inputs)
        self.pointwise = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm2: nn.Module = nn.BatchNorm2d(outputs)
        self.attention = SqueezeExcite(outputs) if attention else nn.Identity()
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm1(self.depthwise(x)), inplace=True)
        y = self.attention(self.norm2(self.pointwise(y)))
        return F.relu(y + x if self.residual else y, inplace=True)

    def fold(self) -> None:
        self.depthwise = merged(self.depthwise, self.norm1)
        self.pointwise = merged(self.pointwise, self.norm2)
        self.norm1 = self.norm2 = nn.Identity()


class FaceNetwork(nn.Module):
    """What training and inference need of a network: `features` [N, 1, 48, 48] → [N, C, h, w], pooled, then `head`."""

    features: nn.Sequential
    head: nn.Linear

    def fold(self) -> None:
        """For inference only, in place: merge each batch norm into the convolution before it."""
        raise NotImplementedError


class CustomCNN(FaceNetwork):
    """A depthwise-separable network of 0.63 M parameters, made for one CPU core.

    The stem keeps all 48×48 pixels, since a face this small has none to spare; the four stages then work on
    24², 12², 6² and 6² pixels. Squeeze-and-excitation, cheap where maps are small, is in the last one.

    `forward` takes [N, 1, 48, 48] as `prepare` makes it and returns logits [N, classes].
    """

    def __init__(
        self,
        widths: Sequence[int] = (64, 128, 256, 384),
        depths: Sequence[int] = (2, 3, 4, 2),
        dropout: float = 0.1,
        classes: int = len(FACE),
    ) -> None:
        super().__init__()
        stem = 32
        layers: list[nn.Module] = [
            nn.Conv2d(1, stem, 3, padding=1, bias=False),
            nn.BatchNorm2d(stem),
            nn.ReLU(inplace=True),
        ]
        inputs, last = stem, len(widths) - 1
        for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
            for block in range(depth):
                stride = 2 if block == 0 and stage < last else 1
                layers.append(SeparableBlock(inputs, width, stride, attention=stage == last))
                inputs = width
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(inputs, classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(self.features(x).mean((2, 3))))
        return logits

    def fold(self) -> None:
        self.features[0] = merged(self.features[0], self.features[1])
        self.features[1] = nn.Identity()
        for block in self.features:
            if isinstance(block, SeparableBlock):
                block.fold()


NETWORKS: dict[str, Callable[..., FaceNetwork]] = {"custom": CustomCNN}
