"""torchvision's networks, adapted to grey faces of 48×48, with ImageNet weights where the user has them.

They halve an image five times, which would leave one or two pixels of a face: each skips one halving, and its
classifier is one linear layer on the mean over what is left. Nothing is downloaded.
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models import mobilenet_v3_large, resnet50
from torchvision.models.vgg import cfgs, make_layers

from emopipe.models.facial.base import FaceNetwork
from emopipe.models.labels import FACE
from emopipe.pipeline.errors import ModelError


class Backbone(FaceNetwork):
    """A network of torchvision's, `body`, under a head of ours.

    Attributes:
        source: whose weights fit, as torchvision names it.
        left_out: how the names of the weights begin that the body does without: the ImageNet classifier.
    """

    source: str
    left_out: str
    body: nn.Module

    def embed(self, x: Tensor) -> Tensor:
        embedded: Tensor = self.body(x)
        return embedded

    def load_imagenet(self, path: Path) -> None:
        """Start from ImageNet weights: a state dict in torchvision's own names, .pth or .safetensors.

        Grey is equal red, green and blue: summed over them, the first convolution does to a grey image what it did
        to the same image in colour.

        Raises:
            ModelError: no such file, unreadable, or the weights of another network.
        """
        state = {name: tensor for name, tensor in _read(path).items() if not name.startswith(self.left_out)}
        own = self.body.state_dict()
        first = next(iter(own))
        if first in state and state[first].ndim == 4 and state[first].shape[1] == 3:
            state[first] = state[first].sum(dim=1, keepdim=True)
        wrong = [name for name, tensor in own.items() if name not in state or state[name].shape != tensor.shape]
        strange = [name for name in state if name not in own]
        if wrong or strange:
            some = ", ".join([*wrong, *strange][:3])
            raise ModelError(
                f"{path}: not the weights of torchvision's {self.source}: {len(wrong)} of {len(own)} tensors are "
                f"missing or of another shape, {len(strange)} are strange to it ({some} …)"
            )
        self.body.load_state_dict(state)


class VGG16(Backbone):
    """VGG-16 with batch norms (Simonyan & Zisserman 2015, arXiv:1409.1556): without them it hardly trains.

    The last pooling is left out, so that 3×3 pixels remain; the two hidden layers of 4,096, 120 of VGG's 138 million
    parameters, as well.
    """

    source, left_out = "vgg16_bn", "classifier."

    def __init__(self, dropout: float = 0.5, classes: int = len(FACE)) -> None:
        super().__init__(512, dropout, classes)
        layers = make_layers(cfgs["D"], batch_norm=True)[:-1]
        layers[0] = nn.Conv2d(1, 64, 3, padding=1)
        for layer in layers:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.body = nn.Sequential()
        self.body.add_module("features", layers)

    def embed(self, x: Tensor) -> Tensor:
        return super().embed(x).mean((2, 3))


class ResNet50(Backbone):
    """ResNet-50 (He et al. 2016, arXiv:1512.03385). Its first convolution keeps all pixels; 3×3 remain."""

    source, left_out = "resnet50", "fc."

    def __init__(self, dropout: float = 0.3, classes: int = len(FACE)) -> None:
        super().__init__(2048, dropout, classes)
        body: Any = resnet50(weights=None, zero_init_residual=True)
        body.conv1 = nn.Conv2d(1, 64, 7, padding=3, bias=False)
        nn.init.kaiming_normal_(body.conv1.weight, mode="fan_out", nonlinearity="relu")
        body.fc = nn.Identity()
        self.body = body


class MobileNet(Backbone):
    """MobileNetV3, large (Howard et al. 2019, arXiv:1905.02244). Its first convolution keeps all pixels; 3×3 remain."""

    source, left_out = "mobilenet_v3_large", "classifier."

    def __init__(self, dropout: float = 0.2, classes: int = len(FACE)) -> None:
        super().__init__(960, dropout, classes)
        body: Any = mobilenet_v3_large(weights=None)
        body.features[0][0] = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        nn.init.kaiming_normal_(body.features[0][0].weight, mode="fan_out")
        body.classifier = nn.Identity()
        self.body = body


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise ModelError(f"{path}: no such file; save torchvision's ImageNet weights there, or leave `imagenet` empty")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # what a damaged or foreign file raises is of many kinds
        problem = str(error).strip().partition("\n")[0]
        raise ModelError(f"{path}: unreadable weights ({problem}); save them again with torch.save") from None
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ModelError(f"{path}: not a state dict, but {type(state).__name__}; save `model.state_dict()`")
    return state
