import numpy as np
import pytest
import torch

from emopipe.models.facial.base import FaceNetwork
from emopipe.models.facial.base import prepare as prepare_tensors
from emopipe.models.facial.compiled import CompiledNetwork, exact_tile_size
from emopipe.models.facial.crops import prepare
from emopipe.models.facial.graphs import custom_cnn
from emopipe.models.facial.networks import CustomCNN
from emopipe.models.facial.rows import DeviceNetwork, trace
from tests.support.face_networks import compiled, faces, random_network, random_norms


def judged(network: FaceNetwork, crops: np.ndarray) -> np.ndarray:
    """What torch says: logits, and the distance."""
    with torch.inference_mode():
        said = network.judge(prepare_tensors(crops))
    return np.concatenate([said.people, said.distance[:, None]], 1)


@pytest.mark.parametrize("count", [1, 2, 5, 19])
def test_graph_and_trace_say_what_torch_says(count: int) -> None:
    network, crops = random_network(), faces(count)
    network.typical_length.fill_(3.0)
    expected = judged(network, crops)
    assert expected.shape == (count, 8)
    for run in (compiled(network), CompiledNetwork(trace(network)), DeviceNetwork(network, "cpu")):
        np.testing.assert_allclose(run(crops), expected, rtol=1e-4, atol=1e-5)


def test_a_graph_of_other_widths() -> None:
    torch.manual_seed(1)
    network = CustomCNN(widths=(8, 16, 12), classes=5)
    random_norms(network)
    weights = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    run = CompiledNetwork(custom_cnn(weights, widths=(8, 16, 12), classes=5))
    np.testing.assert_allclose(run(faces(3)), judged(network, faces(3)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("change", [{"features.7.weight": None}, {"head.bias": np.zeros(6, np.float32)}], ids=str)
def test_weights_of_another_network_are_refused(change: dict[str, np.ndarray | None]) -> None:
    weights = {name: tensor.numpy() for name, tensor in random_network().state_dict().items()} | change
    left = {name: array for name, array in weights.items() if array is not None}
    with pytest.raises(ValueError, match=rf"{next(iter(change))} is missing, or of another shape than"):
        custom_cnn(left)


def test_crops_are_prepared_to_the_same_bits_in_numpy_and_in_torch() -> None:
    crops = np.concatenate([faces(9), np.full((1, 48, 48), 7, np.uint8)])
    assert prepare(crops).dtype == np.float32
    np.testing.assert_array_equal(prepare(crops), prepare_tensors(crops).numpy(), strict=True)


def test_the_tile_shrinks_where_larger_ones_have_other_bits() -> None:
    def sums_differently_from_three_faces_on(x: np.ndarray) -> np.ndarray:
        return x.mean((2, 3)) + np.float32(1e-3 if len(x) >= 3 else 0.0)

    assert exact_tile_size(sums_differently_from_three_faces_on) == 2
    assert exact_tile_size(lambda x: x[:, :, 0, 0]) == 4
