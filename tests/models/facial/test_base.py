"""What every network for faces shares."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from emopipe.models.facial.base import FaceNetwork, prepare
from emopipe.models.facial.compiled import CompiledNetwork
from emopipe.models.facial.model import FacialModel
from emopipe.models.facial.networks import NETWORKS
from emopipe.models.facial.rows import trace
from emopipe.models.labels import FACE
from tests.support.face_networks import faces, random_norms


def test_prepare_standardises_and_keeps_its_input() -> None:
    images = faces(3)
    before = images.copy()
    prepared = prepare(images)
    assert prepared.shape == (3, 1, 48, 48)
    assert prepared.dtype == torch.float32
    np.testing.assert_array_equal(images, before)
    expected = (images[1] - images[1].mean()) / (images[1].std() + 7.65)
    np.testing.assert_allclose(prepared[1, 0].numpy(), expected, atol=1e-5)
    torch.testing.assert_close(prepare(torch.from_numpy(images)), prepared, rtol=0, atol=0)


def test_light_and_contrast_are_taken_out_of_a_face() -> None:
    face = (100 + 60 * np.sin(np.arange(48 * 48) / 40)).reshape(1, 48, 48)
    darker = prepare((face / 4 + 3).round().astype(np.uint8))
    torch.testing.assert_close(darker, prepare(face.round().astype(np.uint8)) * darker.std(), atol=0.15, rtol=0)
    assert prepare(np.full((1, 48, 48), 9, np.uint8)).abs().max() == 0, "what is flat stays flat"


class Tiny(FaceNetwork):
    """The example in FaceNetwork's docstring."""

    def __init__(self, dropout: float = 0.2, classes: int = len(FACE)) -> None:
        super().__init__(32, dropout, classes)
        self.features = nn.Sequential(nn.Conv2d(1, 32, 7, stride=4, bias=False), nn.BatchNorm2d(32), nn.ReLU())

    def embed(self, x: Tensor) -> Tensor:
        return self.features(x).mean((2, 3))


def test_a_new_network_is_one_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(NETWORKS, "tiny", Tiny)
    model = FacialModel(CompiledNetwork(trace(random_norms(NETWORKS["tiny"]()))), FACE, 1.0)
    assert model.probabilities(faces(3)).shape == (3, 7)
