from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emopipe.models import checkpoint
from emopipe.models.facial.base import prepare
from emopipe.models.facial.model import FacialModel
from emopipe.models.labels import FACE
from emopipe.pipeline.errors import ModelError
from tests.support.face_networks import compiled, faces, random_network

CARD = checkpoint.Card(
    task="facial",
    network="custom",
    options={},
    labels=list(FACE),
    features={},
    temperature=1.7,
    config={},
    seed=0,
    data_sha256="",
    command="",
    metrics={},
)


@pytest.fixture(scope="module")
def model() -> FacialModel:
    return FacialModel(compiled(random_network()), FACE, 1.7)


def test_a_face_has_the_same_bits_alone_and_anywhere_in_any_batch(model: FacialModel) -> None:
    crops = faces(17)
    alone = np.concatenate([model.probabilities(crop[None]) for crop in crops])
    for size in range(1, 18):
        for start in (0, 17 - size):
            batch = model.probabilities(crops[start : start + size])
            np.testing.assert_array_equal(batch, alone[start : start + size], strict=True)


@given(st.permutations(range(16)), st.integers(1, 16))
@settings(max_examples=20, deadline=None)
def test_neighbours_do_not_matter(model: FacialModel, order: list[int], size: int) -> None:
    crops = faces(16)
    alone = np.concatenate([model.logits(crop[None]) for crop in crops])
    np.testing.assert_array_equal(model.logits(crops[order[:size]]), alone[order[:size]], strict=True)


def test_agrees_with_the_network_itself(model: FacialModel) -> None:
    crops = faces(3)
    with torch.inference_mode():
        logits = random_network()(prepare(crops))
    np.testing.assert_allclose(model.logits(crops), logits.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model.probabilities(crops), (logits / 1.7).softmax(1).numpy(), rtol=1e-4, atol=1e-6)


def test_probabilities_are_distributions(model: FacialModel) -> None:
    probabilities = model.probabilities(faces(5))
    assert probabilities.dtype == np.float32
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_no_faces_no_answers(model: FacialModel) -> None:
    assert model.probabilities(faces(0)).shape == (0, 7)


@pytest.mark.parametrize("wrong", [np.zeros((1, 47, 48), np.uint8), np.zeros((1, 48, 48), np.float32)])
def test_says_what_it_expects(model: FacialModel, wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected uint8 \[N, 48, 48\]"):
        model.logits(wrong)


def test_what_is_stranger_gets_a_flatter_distribution() -> None:
    network = random_network()
    network.typical_length.fill_(1.0)
    crops, knots = faces(4), [(0.01, 1.0), (100.0, 50.0)]
    near = compiled(network)
    network.typical_length.fill_(20.0)
    plain, doubting = FacialModel(near, FACE, 1.0), FacialModel(near, FACE, 1.0, temperatures=knots)
    stranger = FacialModel(compiled(network), FACE, 1.0, temperatures=knots)
    top = [model.probabilities(crops).max(axis=1) for model in (plain, doubting, stranger)]
    assert (top[0] > top[1]).all()
    assert (top[1] > top[2]).all()
    np.testing.assert_array_equal(plain.logits(crops), stranger.logits(crops))


def test_loads_a_checkpoint(model: FacialModel, tmp_path: Path) -> None:
    path = tmp_path / "facial.safetensors"
    checkpoint.save(path, random_network().state_dict(), CARD)
    loaded = FacialModel.load(path, "cpu")
    assert loaded.labels == FACE
    np.testing.assert_array_equal(loaded.probabilities(faces(3)), model.probabilities(faces(3)), strict=True)


def test_torch_on_a_cpu_agrees_and_gives_a_face_the_same_bits_in_any_batch(tmp_path: Path) -> None:
    path = tmp_path / "facial.safetensors"
    checkpoint.save(path, random_network().state_dict(), CARD)
    reference, compiled_model = (FacialModel.load(path, "cpu", backend=each) for each in ("torch", "onnxruntime"))
    assert (reference.backend, compiled_model.backend) == ("torch", "onnxruntime")
    crops = faces(17)
    alone = np.concatenate([reference.probabilities(crop[None]) for crop in crops])
    np.testing.assert_array_equal(reference.probabilities(crops), alone, strict=True)
    np.testing.assert_allclose(reference.logits(crops), compiled_model.logits(crops), rtol=1e-4, atol=1e-5)


def test_names_what_is_wrong_with_a_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "facial.safetensors"
    with pytest.raises(ModelError, match="no such weights"):
        FacialModel.load(path)
    checkpoint.save(path, random_network().state_dict(), msgspec.structs.replace(CARD, network="vgg"))
    with pytest.raises(ModelError, match="network 'vgg' is unknown; the networks are custom"):
        FacialModel.load(path)
    checkpoint.save(path, random_network().state_dict(), msgspec.structs.replace(CARD, options={"classes": 8}))
    with pytest.raises(ModelError, match="weights do not fit its card"):
        FacialModel.load(path)


def test_names_a_device_that_is_not_there(tmp_path: Path) -> None:
    path = tmp_path / "facial.safetensors"
    checkpoint.save(path, random_network().state_dict(), CARD)
    with pytest.raises(ModelError, match=r"device 'npu:7' cannot be used: .*; `auto` takes what is there"):
        FacialModel.load(path, "npu:7")


def test_a_prior_moves_the_neutral_faces_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "facial.safetensors"
    prior = dict(zip(FACE, (0.14, 0.02, 0.14, 0.25, 0.17, 0.11, 0.17), strict=True))
    checkpoint.save(path, random_network().state_dict(), msgspec.structs.replace(CARD, prior=prior))
    shares = (0.05, 0.17, 0.4, 0.6, 0.9)
    rows = [FacialModel.load(path, "cpu", {"neutral": share}).probabilities(faces(4)) for share in shares]
    neutral = np.array([row[:, FACE.index("neutral")] for row in rows])
    assert (np.diff(neutral, axis=0) > 0).all()
    others = np.array([row[:, :-1] / row[:, :-1].sum(axis=1, keepdims=True) for row in rows])
    np.testing.assert_allclose(others, others[:1].repeat(5, axis=0), rtol=1e-4)
    as_trained = FacialModel.load(path, "cpu").probabilities(faces(4))
    np.testing.assert_allclose(FacialModel.load(path, "cpu", prior).probabilities(faces(4)), as_trained, rtol=1e-5)


def test_another_prior_needs_a_card_that_states_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "facial.safetensors"
    checkpoint.save(path, random_network().state_dict(), CARD)
    with pytest.raises(ModelError, match="do not say how often angry, disgust"):
        FacialModel.load(path, "cpu", "neutral")
