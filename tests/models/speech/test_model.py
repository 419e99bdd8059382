from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import pytest
import torch

from emopipe.models import checkpoint
from emopipe.models.calibration import temperature_at
from emopipe.models.labels import SPEECH
from emopipe.models.speech.features import MfccSpec, window_features
from emopipe.models.speech.files import FALLBACK
from emopipe.models.speech.model import SpeechModel
from emopipe.models.speech.networks import LSTM
from emopipe.pipeline.errors import ModelError
from emopipe.training.speech.non_voices import make
from tests.support.voices import Floats, voice


class Sound(NamedTuple):
    mfcc: Floats
    audio: Floats


OPTIONS = {"channels": 32, "hidden": 16, "embedding": 12}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def make_card(**changes: object) -> checkpoint.Card:
    card = checkpoint.Card(
        task="speech",
        network="lstm",
        options=OPTIONS,
        labels=list(SPEECH),
        features=msgspec.structs.asdict(MfccSpec()),
        temperature=1.5,
        config={},
        seed=0,
        data_sha256="",
        command="",
        metrics={},
    )
    return msgspec.structs.replace(card, **changes)


def make_network() -> LSTM:
    torch.manual_seed(0)
    network = LSTM(**OPTIONS).eval()
    network.standardise(torch.randn(200, 120) * 3 + 1)
    return network


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "speech.safetensors"
    checkpoint.save(path, make_network().state_dict(), make_card())
    return path


def make_windows(count: int = 16) -> list[Floats]:
    random = np.random.default_rng(1)
    return [random.normal(0, 4, (int(random.integers(1, 299)), 40)).astype(np.float32) for _ in range(count)]


def test_a_window_has_the_same_bits_alone_and_anywhere_in_a_batch(weights: Path) -> None:
    model = SpeechModel.load(weights, "cpu")
    windows = make_windows()
    alone = [model.probabilities([window]).tobytes() for window in windows]
    for size in (2, 5, 16):
        for first in range(0, len(windows), size):
            rows = model.probabilities(windows[first : first + size])
            assert [row.tobytes() for row in rows] == alone[first : first + size]
    assert [row.tobytes() for row in model.probabilities(windows[::-1])] == alone[::-1]


def test_probabilities_are_the_softmax_of_logits_over_the_temperature(weights: Path) -> None:
    model = SpeechModel.load(weights, "cpu")
    windows = make_windows(3)
    result = model.probabilities(windows)
    assert result.dtype == np.float32
    assert result.shape == (3, len(model.labels))
    assert result.sum(axis=1) == pytest.approx(1)
    network = make_network()
    with torch.inference_mode():
        logits = torch.cat([network(window_features(torch.from_numpy(window))[None]) for window in windows])
    assert result == pytest.approx((logits / 1.5).softmax(1).numpy(), abs=1e-6)


def test_it_carries_labels_and_features(weights: Path) -> None:
    model = SpeechModel.load(weights)
    assert model.labels == SPEECH
    assert model.spec == MfccSpec()


def test_no_windows_give_no_rows(weights: Path) -> None:
    assert SpeechModel.load(weights).probabilities([]).shape == (0, 8)


def test_the_shortest_window_is_one_frame(weights: Path) -> None:
    assert np.isfinite(SpeechModel.load(weights).probabilities([np.zeros((1, 40), np.float32)])).all()


def test_a_batch_goes_through_the_network_as_its_rows_do() -> None:
    features, network = torch.randn(4, 90, 120), make_network()
    with torch.inference_mode():
        rows = torch.cat([network(row[None]) for row in features])
        assert torch.allclose(network(features), rows, atol=1e-5)


def test_the_temperature_is_that_of_the_window_s_length(tmp_path: Path) -> None:
    knots = [(0.5, 1.0), (2.0, 3.0)]
    path = tmp_path / "speech.safetensors"
    checkpoint.save(path, make_network().state_dict(), make_card(temperatures=knots))
    model = SpeechModel.load(path, "cpu")
    windows = [np.zeros((frames, 40), np.float32) for frames in (20, 50, 100, 200, 298)]
    assert model.temperature_of(windows) == pytest.approx([1.0, 1.0, 3**0.5, 3.0, 3.0])
    scaled = model.logits(windows).astype(np.float64) / temperature_at(knots, [0.2, 0.5, 1.0, 2.0, 2.98])[:, None]
    expected = torch.from_numpy(scaled).softmax(1).numpy()
    assert model.probabilities(windows) == pytest.approx(expected, abs=1e-6)


def test_outputs_are_logits_and_embeddings_of_one_pass(weights: Path) -> None:
    model = SpeechModel.load(weights, "cpu")
    windows = make_windows(3)
    logits, embeddings = model.outputs(windows)
    assert embeddings.shape == (3, 12)
    np.testing.assert_array_equal(logits, model.logits(windows))
    with torch.inference_mode():
        again = model.network.classify(torch.from_numpy(embeddings))
    np.testing.assert_allclose(again, logits, atol=1e-5)
    assert model.outputs([]).embeddings.shape == (0, 12)


def test_a_speaker_starts_from_the_training_speakers(weights: Path) -> None:
    model = SpeechModel.load(weights, "cpu")
    speaker = model.speaker()
    assert speaker.mean == pytest.approx(model.network.mean[:40].numpy())
    assert speaker.deviation == pytest.approx(1 / model.network.scale[:40].numpy())
    assert speaker.weight == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"task": "facial"}, "a facial model, but a speech model is needed"),
        ({"network": "lstn"}, "network 'lstn' is unknown; the networks are lstm"),
        ({"options": {"hidden": 8, "channels": 32}}, "do not fit its card"),
        ({"options": {"depth": 8}}, "do not fit its card"),
        ({"features": {"top_db": 80}}, "do not fit its card"),
        ({"labels": ["happy", "sad"]}, "2 labels for 8 outputs"),
    ],
)
def test_a_checkpoint_made_for_something_else_is_refused(
    tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    path = tmp_path / "other.safetensors"
    checkpoint.save(path, make_network().state_dict(), make_card(**changes))
    with pytest.raises(ModelError, match=message) as error:
        SpeechModel.load(path)
    assert str(path) in str(error.value)


def test_missing_weights_and_a_device_that_is_not_there(tmp_path: Path, weights: Path) -> None:
    with pytest.raises(ModelError, match="train them with `emopipe train speech`"):
        SpeechModel.load(tmp_path / "none.safetensors")
    with pytest.raises(ModelError, match="device 'gpu9' cannot be used"):
        SpeechModel.load(weights, "gpu9")


def test_the_committed_weights_are_exact_in_the_batch_and_fit_what_the_stream_computes() -> None:
    model = SpeechModel.load(device="cpu")
    assert model.labels == SPEECH
    assert model.mfcc_spec == MfccSpec()
    rows = [model.row(Sound(window, voice(0.3 + 0.02 * len(window)))) for window in make_windows(4)]
    alone = [model.probabilities([row]).tobytes() for row in rows]
    assert [row.tobytes() for row in model.probabilities(rows)] == alone


def test_without_the_voice_encoder_the_small_network_is_used_and_the_log_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("emopipe.models.assets.FOLDER", tmp_path)
    model = SpeechModel.load(device="cpu")
    assert model.spec == MfccSpec()
    assert model.labels == SPEECH
    assert "the voice encoder is missing; install emopipe again" in caplog.text
    assert "the small network for voices" in caplog.text
    chosen = tmp_path / "mine.safetensors"
    chosen.write_bytes((checkpoint.WEIGHTS_DIR / "speech.safetensors").read_bytes())
    with pytest.raises(ModelError, match="the voice encoder is missing"):  # somebody wanted these weights
        SpeechModel.load(chosen, "cpu")


def test_voices_pass_the_committed_gate_and_noise_does_not() -> None:
    model = SpeechModel.load(device="cpu")
    random = np.random.default_rng(0)
    mfcc = np.zeros((1, 40), np.float32)
    sounds = [make(kind, random, 3.0) for kind in ("siren", "noise", "music", "typing")]
    assert model.voice([model.row(Sound(mfcc, sound)) for sound in sounds]).max() < 0.5
    assert SpeechModel.load(FALLBACK, "cpu").voice(make_windows(3)).tolist() == [1, 1, 1]  # it has no gate


def test_the_committed_card_says_how_good_the_weights_are_on_unseen_people() -> None:
    _, card = checkpoint.load(checkpoint.WEIGHTS_DIR / "speech.safetensors", "speech")
    outside = ("emovo", "nemo", "tess")
    assert sum(card.metrics[f"uar_{corpus}"] for corpus in outside) / 3 > 0.38
    assert sum(card.metrics[f"calibrated_uar_{corpus}"] for corpus in outside) / 3 > 0.53
    assert card.metrics["speaker_folds_uar_ravdess"] > 0.66
    assert max(card.metrics["ece"], card.metrics["calibrated_ece"]) <= 0.06
    assert len(card.config["trained_on"]) == 36
    assert card.selective
