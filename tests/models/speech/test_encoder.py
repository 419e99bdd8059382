"""The voice encoder, as it is fetched: what its layers make of sound, and what becomes of damaged files."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from emopipe.models import assets
from emopipe.models.speech.embedding import SECONDS, Embedder, EmbeddingSpec, seconds_of
from emopipe.models.speech.encoder import Encoder
from emopipe.models.speech.ort_format import subgraph
from emopipe.models.speech.prosody import FUNCTIONALS, functionals, pitch
from tests.support.voices import silence, voice


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder()


def test_every_layer_answers_41_times_a_second(encoder: Encoder) -> None:
    layers = encoder(voice(2.0))
    assert layers.shape == (7, 82, 288)
    assert len({layer.tobytes() for layer in layers}) == 7


def test_the_last_layer_is_what_the_model_itself_gives(encoder: Encoder) -> None:
    sound = voice(1.0)
    session = onnxruntime.InferenceSession(assets.voice_encoder_model())
    inputs = {"input_values": sound[None], "attention_mask": np.ones((1, len(sound)), np.int64)}
    assert np.array_equal(encoder(sound)[-1], session.run(None, inputs)[0][0])


def test_sound_shorter_than_its_convolutions_is_padded(encoder: Encoder) -> None:
    assert encoder(voice(0.01)).shape[1] >= 1


def test_layers_alone_have_the_bits_that_they_have_in_the_whole_model(encoder: Encoder) -> None:
    for sound in (voice(3.0), voice(0.3), silence(1.0)):
        whole = encoder(sound)
        assert np.array_equal(Encoder((3, 1))(sound), whole[[3, 1]])
        assert np.array_equal(Encoder((0,))(sound), whole[:1])


def test_a_model_cut_down_runs_only_what_its_values_need(tmp_path: Path) -> None:
    model = assets.voice_encoder_model().read_bytes()
    runs = [nodes_run(cut, tmp_path) for cut in (model, subgraph(model, ["/layers.2/Add_1_output_0"]))]
    layers = [{name.split("/")[1] for name in run if name.startswith("/layers.")} for run in runs]
    assert layers == [{f"layers.{layer}" for layer in range(6)}, {f"layers.{layer}" for layer in range(3)}]


def nodes_run(model: bytes, folder: Path) -> set[str]:
    options = onnxruntime.SessionOptions()
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "run")
    session = onnxruntime.InferenceSession(model, options)
    sound = voice(0.5)
    session.run(None, {"input_values": sound[None], "attention_mask": np.ones((1, len(sound)), np.int64)})
    events = json.loads(Path(session.end_profiling()).read_text())
    return {event["name"] for event in events if event["name"].endswith("_kernel_time")}


def test_a_value_that_no_node_makes_is_an_error() -> None:
    with pytest.raises(KeyError):
        subgraph(assets.voice_encoder_model().read_bytes(), ["/layers.7/Add_1_output_0"])


def test_a_vector_starts_with_its_seconds_and_is_the_same_each_time() -> None:
    embedder = Embedder(EmbeddingSpec(layers=(2,)))
    vector = embedder(voice(1.5))
    assert vector.shape == (embedder.spec.size,) == (2 + FUNCTIONALS + 576,)
    assert vector[SECONDS] == seconds_of(vector) == 1.5
    assert np.array_equal(vector, embedder(voice(1.5)))
    assert embedder.fingerprint != Embedder(EmbeddingSpec(layers=(3,))).fingerprint


@pytest.mark.parametrize("hertz", [90.0, 150.0, 310.0])
def test_pitch_in_semitones_above_100_hz(hertz: float) -> None:
    sound = voice(1.0, hertz)
    semitones, periodic = pitch(sound, 97)
    heard = semitones[periodic > 0.8]
    assert len(heard) > 80
    assert np.median(heard) == pytest.approx(12 * np.log2(hertz / 100), abs=0.4)


def test_functionals_are_those_of_torch_in_double_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    def power_spectra(frames: np.ndarray, size: int) -> np.ndarray:
        return torch.fft.rfft(torch.from_numpy(frames).double(), size).abs().square().numpy()

    def row_products(rows: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        return (torch.from_numpy(rows).double() @ torch.from_numpy(matrix).double().T).numpy()

    sound = voice(1.5)
    said = functionals(sound)
    monkeypatch.setattr("emopipe.models.speech.prosody.power_spectra", power_spectra)
    monkeypatch.setattr("emopipe.models.speech.prosody.row_products", row_products)
    np.testing.assert_allclose(said, functionals(sound), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("sound", [np.zeros(16000, np.float32), silence(1.0), voice(0.005), voice(3.0)])
def test_functionals_are_finite_whatever_the_sound(sound: np.ndarray) -> None:
    found = functionals(sound)
    assert found.shape == (FUNCTIONALS,)
    assert np.isfinite(found).all()


def test_loudness_says_nothing() -> None:
    sound = voice(1.0, level=0.2) + 0.01 * np.random.default_rng(0).normal(size=16000).astype(np.float32)
    assert functionals(sound) == pytest.approx(functionals(0.2 * sound), abs=0.05)
