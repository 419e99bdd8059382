import sys

import pytest
import torch
from torch import nn

from emopipe.models.facial.base import FaceNetwork, prepare
from emopipe.models.facial.networks import NETWORKS, CustomCNN
from emopipe.pipeline.errors import ModelError
from tests.support.face_networks import faces, random_norms


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_judges_by_both_labellings(name: str) -> None:
    network = random_norms(NETWORKS[name]())
    x = prepare(faces(3))
    with torch.inference_mode():
        judged, both, length = network.judge(x), network.labellings(x), network.embed(x).norm(dim=1)
        torch.testing.assert_close(judged.people, network(x), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(torch.stack([judged.people, judged.fer2013], 1), both, rtol=1e-3, atol=1e-4)
        assert judged.distance.tolist() == [0, 0, 0], "before training nothing is known of what is far"
        network.typical_length.fill_(2.0)
        torch.testing.assert_close(network.judge(x).distance, 2 / length, rtol=1e-3, atol=1e-4)


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


def test_every_parameter_learns() -> None:
    network = CustomCNN()
    network.labellings(prepare(faces(8))).square().sum().backward()
    idle = [name for name, parameter in network.named_parameters() if parameter.grad is None]
    assert idle == []


def test_a_network_of_torchvisions_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "emopipe.models.facial.backbones", raising=False)
    monkeypatch.delattr("emopipe.models.facial.backbones", raising=False)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(ModelError, match=r"needs torchvision: pip install 'emopipe\[train\]'"):
        NETWORKS["vgg16"]()
