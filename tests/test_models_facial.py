import numpy as np
import pytest
import torch
from torch import nn

from models.facial import NETWORKS, CustomCNN, prepare


def random_network(seed: int = 0) -> CustomCNN:
    """With batch norms that do something, as after training."""
    torch.manual_seed(seed)
    network = CustomCNN().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return network


def faces(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, 48, 48), dtype=np.uint8)


def test_prepare_standardises_and_keeps_its_input() -> None:
    images = faces(3)
    before = images.copy()
    prepared = prepare(images)
    assert prepared.shape == (3, 1, 48, 48)
    assert prepared.dtype == torch.float32
    np.testing.assert_array_equal(images, before)
    np.testing.assert_allclose(prepared[1, 0].numpy(), (images[1] / 255 - 0.5077) / 0.2550, atol=1e-5)
    torch.testing.assert_close(prepare(torch.from_numpy(images)), prepared, rtol=0, atol=0)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_gives_one_logit_a_label(name: str) -> None:
    network = NETWORKS[name]().eval()
    with torch.inference_mode():
        assert network(prepare(faces(2))).shape == (2, 7)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    assert parameters < 1_000_000


def test_folding_changes_nothing_but_the_cost() -> None:
    network = random_network()
    x = prepare(faces(4))
    with torch.inference_mode():
        expected = network(x)
        network.fold()
        torch.testing.assert_close(network(x), expected, rtol=1e-4, atol=1e-5)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_folding_twice_is_refused() -> None:
    network = random_network()
    network.fold()
    with pytest.raises(TypeError, match="already folded"):
        network.fold()


def test_every_parameter_learns() -> None:
    network = CustomCNN()
    network(prepare(faces(8))).square().sum().backward()
    idle = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert idle == []
