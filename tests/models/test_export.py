"""ONNX files of every network: the same answers in onnxruntime, whatever the batch and the length."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from emopipe.models import checkpoint
from emopipe.models.export import MAX_DIFFERENCE, export
from emopipe.models.facial import networks as facial_networks
from emopipe.models.facial.model import FacialModel
from emopipe.models.fusion import networks as fusion_networks
from emopipe.models.fusion.model import FaceObservation, FusionModel, SpeechObservation, make_moment
from emopipe.models.labels import FACE, SPEECH
from emopipe.models.speech import networks as speech_networks
from emopipe.models.speech.features import MfccSpec
from emopipe.models.speech.model import SpeechModel
from emopipe.pipeline.errors import EmopipeError, ModelError
from tests.support.random_weights import fusion_weights
from tests.support.verbs import verb

pytestmark = pytest.mark.slow("exports every network")

# Small ones, where a network can be made small: what is tested is how its parts are translated.
OPTIONS: dict[str, dict[str, Any]] = {
    "custom": {},
    "lstm": {"channels": 16, "hidden": 8},
    "cnn": {"channels": 16},
    "cnn-lstm": {"channels": 16, "hidden": 8},
    "ensemble": {"members": ["cnn", "cnn"]},
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def weights(path: Path, task: Any, network: str) -> Path:
    """A checkpoint of random weights, with a temperature that depends on the length where it may."""
    torch.manual_seed(0)
    networks: dict[str, Any] = {"facial": facial_networks.NETWORKS, "speech": speech_networks.NETWORKS}[task]
    options = OPTIONS.get(network, {})
    card = checkpoint.Card(
        task=task,
        network=network,
        options=options,
        labels=list(FACE if task == "facial" else SPEECH),
        features=msgspec.structs.asdict(MfccSpec()) if task == "speech" else {"size": 48},
        temperature=0.7,
        config={},
        seed=0,
        data_sha256="",
        command="",
        metrics={},
        temperatures=[(0.5, 2.0), (1.0, 1.5), (2.0, 0.9)] if task == "speech" else [],
    )
    checkpoint.save(path, networks[network](**options).state_dict(), card)
    return path


def run(path: Path, inputs: dict[str, Any]) -> Any:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    used = [each.name for each in session.get_inputs()]
    return session.run(["probabilities"], {name: inputs[name] for name in used})[0]


@pytest.mark.parametrize("network", facial_networks.NETWORKS)
def test_every_network_for_faces(network: str, tmp_path: Path) -> None:
    path = weights(tmp_path / "w.safetensors", "facial", network)
    difference = export("facial", path, tmp_path / "faces.onnx")
    assert difference is not None
    assert difference <= MAX_DIFFERENCE


def test_faces(tmp_path: Path) -> None:
    path, out = weights(tmp_path / "w.safetensors", "facial", "custom"), tmp_path / "faces.onnx"
    export("facial", path, out, check=False)
    crops = np.random.default_rng(1).integers(0, 256, (5, 48, 48), np.uint8)
    expected = FacialModel.load(path, "cpu").probabilities(crops)
    np.testing.assert_allclose(run(out, {"faces": crops}), expected, atol=MAX_DIFFERENCE)


@pytest.mark.parametrize("network", speech_networks.NETWORKS)
def test_voices(network: str, tmp_path: Path) -> None:
    path, out = weights(tmp_path / "w.safetensors", "speech", network), tmp_path / "voice.onnx"
    export("speech", path, out)
    model = SpeechModel.load(path, "cpu")
    for frames in (20, 77, 150, 298):
        mfcc = np.random.default_rng(frames).normal(0, 5, (2, frames, 40)).astype(np.float32)
        np.testing.assert_allclose(run(out, {"mfcc": mfcc}), model.probabilities(list(mfcc)), atol=MAX_DIFFERENCE)


@pytest.mark.parametrize("network", fusion_networks.NETWORKS)
def test_both(network: str, tmp_path: Path) -> None:
    path, out = fusion_weights(tmp_path / "w.safetensors", network), tmp_path / "both.onnx"
    export("fusion", path, out)
    random = np.random.default_rng(1)
    face = [FaceObservation(0.1 * age, random.dirichlet(np.ones(7)), 0.8) for age in range(10)]
    voice = [SpeechObservation(0.2, 1.4, random.dirichlet(np.ones(8)))]
    for seen, heard in ((face, voice), (face, []), ([], voice)):
        inputs = {part: array.astype(np.float32) for part, array in make_moment(seen, heard)._asdict().items()}
        assert run(out, inputs)[0] == pytest.approx(FusionModel.load(path).fuse(seen, heard), abs=MAX_DIFFERENCE)


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    out = tmp_path / "voice.onnx"
    assert export("speech", weights(tmp_path / "w.safetensors", "speech", "cnn"), out, check=False) is None
    about = {prop.key: json.loads(prop.value) for prop in onnx.load(out).metadata_props}
    assert about["labels"] == list(SPEECH)
    assert about["features"]["coefficients"] == 40
    assert (about["task"], about["network"], about["temperature"]) == ("speech", "cnn", 0.7)
    assert about["temperatures"] == [[0.5, 2.0], [1.0, 1.5], [2.0, 0.9]]


def test_a_file_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.models.export.MAX_DIFFERENCE", -1.0)
    with pytest.raises(ModelError, match=r"out\.onnx: not written: its probabilities differ from the model's by"):
        export("speech", weights(tmp_path / "w.safetensors", "speech", "cnn"), tmp_path / "out.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="no such weights"):
        export("facial", tmp_path / "none.safetensors", tmp_path / "out.onnx")
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else find(name))
    with pytest.raises(ModelError, match=r'onnxruntime not installed; install with: pip install "emopipe\[onnx\]"'):
        export("facial", None, tmp_path / "out.onnx")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = weights(tmp_path / "w.safetensors", "speech", "cnn"), tmp_path / "voice.onnx"
    assert verb("export", "speech", "--weights", str(path), "--out", str(out)) == 0
    assert "its probabilities differ by" in capsys.readouterr().out
    with pytest.raises(EmopipeError, match="a folder; give the name of a file"):
        verb("export", "speech", "--out", str(tmp_path))
