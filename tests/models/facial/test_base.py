"""What every network for faces shares."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from emopipe.models.facial.base import FaceNetwork, prepare
from emopipe.models.facial.model import FacialModel
from emopipe.models.facial.networks import NETWORKS
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
