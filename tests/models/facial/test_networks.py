import numpy as np
import pytest
import torch
from torch import Tensor, nn

from emopipe.models.facial.base import FaceNetwork, prepare
from emopipe.models.facial.model import FacialModel
from emopipe.models.facial.networks import NETWORKS, CustomCNN
from emopipe.models.labels import FACE
from tests.support.face_networks import faces, random_norms


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
    assert isinstance(network, FaceNetwork)
    x = prepare(faces(2))
    with torch.inference_mode():
        logits, embedded = network(x), network.embed(x)
        assert logits.shape == (2, 7)
        assert embedded.shape == (2, network.head.in_features)
        torch.testing.assert_close(network.head(embedded), logits)
        assert network(x[:, :, 8:40, 8:40]).shape == (2, 7), "training begins with smaller faces"


def test_the_default_network_is_small() -> None:
    assert sum(parameter.numel() for parameter in CustomCNN().parameters()) <= 3_000_000


@pytest.mark.parametrize("name", NETWORKS)
def test_folding_changes_nothing_but_the_cost(name: str) -> None:
    network = random_norms(NETWORKS[name]())
    x = prepare(faces(4))
    with torch.inference_mode():
        expected = network(x)
        for _ in range(2):
            network.fold()
            torch.testing.assert_close(network(x), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max()))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


class Tiny(FaceNetwork):
    """The example in FaceNetwork's docstring."""

    def __init__(self, dropout: float = 0.2, classes: int = len(FACE)) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 32, 7, stride=4, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.dropout, self.head = nn.Dropout(dropout), nn.Linear(32, classes)

    def embed(self, x: Tensor) -> Tensor:
        return self.features(x).mean((2, 3))


def test_a_new_network_is_one_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "tiny", Tiny)
    model = FacialModel(random_norms(NETWORKS["tiny"]()), FACE, 1.0)
    assert model.probabilities(faces(3)).shape == (3, 7)


def test_every_parameter_learns() -> None:
    network = CustomCNN()
    network(prepare(faces(8))).square().sum().backward()
    idle = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert idle == []
