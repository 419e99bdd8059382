"""From a checkpoint to a network: what fits, and one clear sentence for each thing that does not."""

import sys
from pathlib import Path

import msgspec
import pytest
import torch

from emopipe.models import checkpoint
from emopipe.models.facial.networks import NETWORKS
from emopipe.models.loading import load_network, pick_backend, pick_device
from emopipe.pipeline.errors import ModelError
from tests.support.random_weights import facial_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return facial_weights(tmp_path_factory.mktemp("weights") / "facial.safetensors")


def test_a_network_is_ready_to_infer(weights: Path) -> None:
    network, card = load_network(weights, "facial", NETWORKS)
    assert not network.training
    assert card.network == "custom"
    assert {parameter.device.type for parameter in network.parameters()} == {"cpu"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": "vgg19"}, "network 'vgg19' is unknown; the networks are custom, vgg16, resnet50, mobilenet"),
        ({"network": "mobilenet"}, "its weights do not fit its card"),
        ({"options": {"depth": 3}}, "its weights do not fit its card: .*'depth'"),
        ({"labels": ["happy", "sad"]}, "2 labels for 7 outputs; restore it or train it again"),
    ],
)
def test_a_card_that_does_not_fit_is_refused(
    weights: Path, tmp_path: Path, change: dict[str, object], message: str
) -> None:
    state, card = checkpoint.load(weights, "facial")
    other = tmp_path / "other.safetensors"
    checkpoint.save(other, state, msgspec.structs.replace(card, **change))
    with pytest.raises(ModelError, match=rf"other\.safetensors: {message}"):
        load_network(other, "facial", NETWORKS)


def test_a_device_is_found_or_refused() -> None:
    assert pick_device("cpu") == "cpu"
    assert pick_device("cpu:0") == "cpu"
    assert pick_device() == ("cuda" if torch.cuda.is_available() else "cpu")
    with pytest.raises(ModelError, match=r"device 'gpu7' cannot be used: .*; `auto` takes what is there"):
        pick_device("gpu7")


def test_on_a_cpu_onnx_runtime_computes_and_elsewhere_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pick_backend("auto", "cpu") == ("onnxruntime", "cpu")
    assert pick_backend("torch", "cpu") == ("torch", "cpu")
    monkeypatch.setattr("emopipe.models.loading.pick_device", lambda name: "cuda")  # as where there is a GPU
    assert pick_backend() == ("torch", "cuda")
    assert pick_backend("torch") == ("torch", "cuda")
    assert pick_backend("onnxruntime") == ("onnxruntime", "cpu")


def test_a_back_end_that_cannot_be_used_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"^backend 'onnxruntime' cannot be used: it computes on the CPU, but device"):
        pick_backend("onnxruntime", "cuda")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)  # as where it is not installed
    with pytest.raises(ModelError, match=r"^backend 'onnxruntime' cannot be used: onnxruntime is not installed; pip "):
        pick_backend("onnxruntime", "cpu")
    with pytest.raises(ModelError, match=r"^onnxruntime, which infers on device 'cpu', is not installed: pip install"):
        pick_backend("auto", "cpu")
    assert pick_backend("torch", "cpu") == ("torch", "cpu")


@pytest.mark.skipif(sys.platform != "linux", reason="a driver is known by its device file")
@pytest.mark.parametrize(
    ("driver", "usable", "found"), [(False, True, "cpu"), (True, False, "cpu"), (True, True, "cuda")]
)
def test_torch_is_asked_for_a_gpu_where_there_is_a_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: bool, usable: bool, found: str
) -> None:
    node = tmp_path / "nvidiactl"
    if driver:
        node.touch()
    monkeypatch.setattr("emopipe.models.loading.GPU_DEVICES", (node,))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: usable)
    assert pick_device() == found
