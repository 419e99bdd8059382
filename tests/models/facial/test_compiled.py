import numpy as np
import pytest
import torch

from emopipe.models.facial.base import prepare
from emopipe.models.facial.compiled import Rows, compile_rows
from tests.support.face_networks import faces, random_network


@pytest.mark.parametrize("count", [1, 2, 5])
def test_says_what_the_network_says(count: int) -> None:
    network = random_network()
    network.typical_length.fill_(3.0)
    x = prepare(faces(count))
    rows = compile_rows(Rows(network))(x)
    with torch.inference_mode():
        judged = network.judge(x)
    assert rows.shape == (count, 8)
    np.testing.assert_allclose(rows[:, :7], judged.people, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(rows[:, 7], judged.distance, rtol=1e-3, atol=1e-4)
