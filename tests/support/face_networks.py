"""Networks for faces with random weights, and faces of random pixels."""

import numpy as np
import torch
from torch import nn

from emopipe.models.facial.base import FaceNetwork
from emopipe.models.facial.compiled import CompiledNetwork
from emopipe.models.facial.graphs import custom_cnn
from emopipe.models.facial.networks import CustomCNN


def random_network(seed: int = 0) -> CustomCNN:
    """With batch norms that do something, as after training."""
    torch.manual_seed(seed)
    network = CustomCNN()
    random_norms(network)
    return network


def compiled(network: CustomCNN) -> CompiledNetwork:
    """A network as its checkpoint would be run on a CPU."""
    return CompiledNetwork(custom_cnn({name: tensor.numpy() for name, tensor in network.state_dict().items()}))


def random_norms(network: FaceNetwork) -> FaceNetwork:
    """Batch norms with statistics and weights of their own, in evaluation mode."""
    for module in network.eval().modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return network


def faces(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 48, 48), dtype=np.uint8)
