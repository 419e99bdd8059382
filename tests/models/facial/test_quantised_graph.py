"""The network for faces in 8 bits: as close to single precision as 8 bits can be, and exact in any batch."""

import re

import numpy as np
import pytest
import torch

from emopipe.models import checkpoint
from emopipe.models.facial.base import prepare as prepare_tensors
from emopipe.models.facial.compiled import CompiledNetwork
from emopipe.models.facial.crops import prepare
from emopipe.models.facial.graphs import custom_cnn, measure_ranges
from emopipe.models.facial.networks import CustomCNN
from emopipe.models.facial.quantised_graph import RANGES
from tests.support.face_networks import faces, random_network, random_norms


def arrays(network: CustomCNN) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


SHIPPED = checkpoint.WEIGHTS_DIR / "facial.safetensors"


def blocks(count: int) -> np.ndarray:
    """Crops that differ by more than noise."""
    return np.kron(faces(count, seed=5)[:, ::8, ::8], np.ones((1, 8, 8), np.uint8))


def quantised(network: CustomCNN) -> dict[str, np.ndarray]:
    """Its arrays, with the ranges of its activations over some faces."""
    weights = arrays(network)
    ranges = measure_ranges(weights, prepare(blocks(64)), network.widths, network.head.out_features)
    return weights | {RANGES: ranges}


def test_a_graph_of_other_widths() -> None:
    torch.manual_seed(3)
    network = CustomCNN(widths=(8, 16, 12), classes=5)
    random_norms(network)
    network.typical_length.fill_(3.0)
    crops = blocks(20)
    with torch.inference_mode():
        judged = network.judge(prepare_tensors(crops))
    expected = np.concatenate([judged.people, judged.distance[:, None]], 1)
    rows = CompiledNetwork(custom_cnn(quantised(network), widths=(8, 16, 12), classes=5))(crops)
    assert 0 < np.abs(rows - expected).mean() < 0.03 * np.abs(expected).mean()  # it is in 8 bits indeed


def test_the_shipped_weights_say_in_eight_bits_nearly_what_they_say() -> None:
    weights, card = checkpoint.load_arrays(SHIPPED, "facial")
    content = custom_cnn(weights, **card.options)
    assert b"QLinearConv" in content
    single = custom_cnn({name: array for name, array in weights.items() if name != RANGES}, **card.options)
    assert b"QLinearConv" not in single
    crops = blocks(40)
    exact, rows = CompiledNetwork(single)(crops), CompiledNetwork(content)(crops)
    assert np.abs(rows - exact)[:, :-1].mean() < 0.03  # of logits; on faces of the corpora it is as much


def test_ranges_are_those_of_the_activations() -> None:
    network = random_network()
    crops = prepare(faces(20))
    ranges = measure_ranges(arrays(network), crops)
    assert ranges.shape == network.activation_ranges.shape == (15, 2)
    assert ranges.dtype == np.float32
    with torch.inference_mode():
        first = network.features[:3](torch.from_numpy(crops))
        last = network.features(torch.from_numpy(crops))
    for row, values in ((0, torch.from_numpy(crops)), (1, first), (14, last)):
        assert ranges[row] == pytest.approx([float(values.min()), float(values.max())], rel=1e-4, abs=1e-5)
    assert [row for row, (least, _) in enumerate(ranges) if least < 0] == [0, 5, 9, 13]  # what no ReLU has cut


def test_a_face_has_the_same_bits_in_any_batch() -> None:
    run = CompiledNetwork(custom_cnn(quantised(random_network())))
    crops = faces(37, seed=2)
    alone = np.concatenate([run(crop[None]) for crop in crops])
    for count in (2, 8, 13, 37):
        np.testing.assert_array_equal(run(crops[:count]), alone[:count], strict=True)


def test_without_ranges_it_is_computed_in_single_precision() -> None:
    network = random_network()
    weights = arrays(network)
    assert not weights[RANGES].any()
    without = {name: array for name, array in weights.items() if name != RANGES}
    assert custom_cnn(weights) == custom_cnn(without)
    assert len(custom_cnn(quantised(network))) < 0.3 * len(custom_cnn(weights))


@pytest.mark.parametrize(
    ("ranges", "problem"),
    [
        (np.ones((3, 2), np.float32), "are too few"),
        (np.ones((40, 2), np.float32), "are too many"),
        (np.ones(15, np.float32), "are not the least and largest"),
        (np.full((15, 2), np.nan, np.float32), "are not the least and largest"),
    ],
    ids=["few", "many", "shape", "nan"],
)
def test_ranges_of_another_network_are_refused(ranges: np.ndarray, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{RANGES} {re.escape(problem)}"):
        custom_cnn(arrays(random_network()) | {RANGES: ranges})
