"""HSEmotion's MobileNet as a teacher: a network that has seen millions of faces, to learn from, not to ship.

MobileNet v1 (Howard et al. 2017, arXiv:1704.04861), trained on VGGFace2 and then AffectNet by A. Savchenko
(arXiv:2103.17107; Apache-2.0). Its weights are read from an npz whose batch norms are folded: `I_c_w`, `I_c_b` a
convolution `[out, kh, kw, in]`, `I_d_w`, `I_d_b` a depthwise one `[1, kh, kw, channels]`, I from 0 to 26, then `fc0_…`
and `fc1_…` of two linear layers, whose outputs are angry, disgust, fear, happy, neutral, sad, surprise.
"""

import zipfile
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from emopipe.models.facial.base import FaceNetwork
from emopipe.models.labels import FACE
from emopipe.pipeline.errors import ModelError

LABELS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")
MEAN = (103.939, 116.779, 123.68)  # of red, green and blue
LAYERS = 27
HALVING_BLOCKS = (2, 4, 6, 12)  # the depthwise convolutions of these blocks halve the picture


class HSEmotion(FaceNetwork):
    """Faces [N, 3, 192, 192] in, in colour; both heads start as AffectNet's. 14 ms a face on one core."""

    size: ClassVar[int] = 192
    channels: ClassVar[int] = 3

    def __init__(self, path: Path, dropout: float = 0.3, classes: int = len(FACE)) -> None:
        super().__init__(256, dropout, classes)
        self.body = nn.ModuleList()
        try:
            with np.load(path, allow_pickle=False) as arrays:
                tensors = {name: torch.from_numpy(arrays[name].astype(np.float32)) for name in arrays.files}
            for index in range(LAYERS):
                self.body.append(_convolution(index, tensors))
            self.narrow = nn.Linear(*tensors["fc0_w"].shape[::-1])
            self.narrow.load_state_dict({"weight": tensors["fc0_w"], "bias": tensors["fc0_b"]})
            order = [LABELS.index(label) for label in FACE]
            for head in (self.head, self.fer2013_head):
                head.load_state_dict({"weight": tensors["fc1_w"][order], "bias": tensors["fc1_b"][order]})
        except (OSError, KeyError, ValueError, RuntimeError, zipfile.BadZipFile) as error:
            problem = str(error).strip().partition("\n")[0]
            raise ModelError(f"{path}: not HSEmotion's weights ({problem}); give its weights.npz in init") from None

    @staticmethod
    def prepare(images: Tensor) -> Tensor:
        """Grey [N, H, W] or [N, 1, H, W], or colour [N, 3, H, W], of levels 0–255, → [N, 3, 192, 192]."""
        pictures = (images.unsqueeze(1) if images.ndim == 3 else images).float()
        if pictures.shape[-1] != HSEmotion.size:
            pictures = F.interpolate(pictures, HSEmotion.size, mode="bilinear", align_corners=False)
        return pictures.expand(-1, 3, -1, -1) - torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1)

    def embed(self, x: Tensor) -> Tensor:
        for layer in self.body:
            if layer.stride == (2, 2):
                x = F.pad(x, (0, 1, 0, 1))  # TensorFlow pads below and right
            x = F.relu6(layer(x))
        return F.relu(self.narrow(self.dropout(x.float().mean((2, 3)))))


def _convolution(index: int, tensors: dict[str, Tensor]) -> nn.Conv2d:
    if f"{index}_c_w" in tensors:
        weight, bias = tensors[f"{index}_c_w"].permute(0, 3, 1, 2), tensors[f"{index}_c_b"]
        stride, groups = 2 if index == 0 else 1, 1
    else:
        weight, bias = tensors[f"{index}_d_w"].permute(3, 0, 1, 2), tensors[f"{index}_d_b"]
        stride, groups = 2 if (index + 1) // 2 in HALVING_BLOCKS else 1, len(bias)
    outputs, inputs, kernel, _ = weight.shape
    padding = kernel // 2 if stride == 1 else 0
    layer = nn.Conv2d(inputs * groups, outputs, kernel, stride, padding, groups=groups)
    layer.load_state_dict({"weight": weight.contiguous(), "bias": bias})
    return layer
