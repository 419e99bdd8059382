import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

from models import checkpoint
from models.labels import SPEECH
from models.speech import SpeechModel
from pipeline.errors import DataError, EmopipeError
from tests.voices import ravdess
from training import speech
from training.settings import settings

# Small enough for a test. The synthetic clips differ by pitch alone, which is soon learnt.
QUICK: dict[str, Any] = {
    "channels": 16,
    "hidden": 8,
    "epochs": 2,
    "batch_size": 8,
    "speeds": [1.0],
    "cross_validate": False,
    "validation_actors": [3],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ravdess(tmp_path_factory.mktemp("ravdess"), (1, 2, 3))


def test_it_learns_and_the_checkpoint_says_what_it_is(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "speech.safetensors"
    config = QUICK | {"epochs": 40, "ema_decay": 0.9, "learning_rate": 0.01, "label_smoothing": 0.0}
    speech.train(config, data, out, runs=tmp_path / "runs")
    _, card = checkpoint.load(out, "speech")
    assert card.labels == list(SPEECH)
    assert card.config["trained_on"] == [1, 2]
    assert card.config["epochs"] == 40
    assert card.metrics["validation_n"] == 8
    assert card.metrics["validation_uar"] > 0.5  # an actor it has not heard; chance is 0.125
    assert card.temperature == pytest.approx(card.metrics["validation_temperature"])
    assert SpeechModel.load(out).labels == SPEECH
    assert (tmp_path / "runs/speech/final/metrics.csv").read_text().startswith("epoch,step,")
    evaluation = speech.evaluate(data, out)
    figures = evaluation.report().flat()
    assert (figures["n"], figures["unseen_n"]) == (24, 8)
    assert figures["unseen_uar"] == pytest.approx(card.metrics["validation_uar"])
    assert "trained on actors 1, 2" in evaluation.notes[0]


def test_cross_validation_tests_each_fold_on_what_the_others_taught(tmp_path: Path, data: Path) -> None:
    heard: list[tuple[list[int], list[int]]] = []
    fit = speech.Training.fit

    def spy(self: speech.Training, name: str, actors: list[int], validation: list[int]) -> Any:
        heard.append((list(actors), list(validation)))
        return fit(self, name, actors, validation)

    out = tmp_path / "speech.safetensors"
    config = QUICK | {"epochs": 1, "cross_validate": True}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speech.Training, "fit", spy)
        speech.train(config, ravdess(tmp_path / "data", (1, 2, 3, 4, 6), (1, 5)), out, runs=tmp_path / "runs")
    # Folds {2}, {3, 6} and {1, 4}: test on one, watch a man and a woman of the next, train on the rest.
    assert heard == [([1, 4], [6, 3]), ([2], [4, 1]), ([3, 6], [2]), ([1, 2, 4, 6], [3])]
    found = json.loads((tmp_path / "runs/speech/cross-validation.json").read_text())
    assert list(found["folds"]) == ["2", "3, 6", "1, 4"]
    assert found["all"]["n"] == 10
    metrics = checkpoint.load(out, "speech")[1].metrics
    assert metrics["uar"] == pytest.approx(sum(fold["uar"] for fold in found["folds"].values()) / 3)
    assert metrics["uar_sd"] == found["all"]["uar_sd"]


def test_the_same_seed_gives_the_same_bits_also_when_resumed(tmp_path: Path, data: Path) -> None:
    config = QUICK | {"epochs": 4}
    speech.train(config, data, tmp_path / "whole.safetensors", runs=tmp_path / "whole")

    class PowerCut(Exception):
        pass

    def cut(self: speech.SpeechTraining) -> None:
        if self.current_epoch == 2:
            raise PowerCut

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speech.SpeechTraining, "on_train_epoch_end", cut)
        with pytest.raises(PowerCut):
            speech.train(config, data, tmp_path / "resumed.safetensors", runs=tmp_path / "cut")
    assert not (tmp_path / "resumed.safetensors").exists()
    state = torch.load(tmp_path / "cut/speech/final/last.ckpt", weights_only=True)
    assert state["global_step"] == 4  # two epochs of two batches
    speech.train(config, data, tmp_path / "resumed.safetensors", resume=True, runs=tmp_path / "cut")
    whole, _ = checkpoint.load(tmp_path / "whole.safetensors", "speech")
    resumed, _ = checkpoint.load(tmp_path / "resumed.safetensors", "speech")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_ctrl_c_is_passed_on_and_leaves_a_run_to_resume(tmp_path: Path, data: Path) -> None:
    def press(self: speech.SpeechTraining) -> None:
        if self.current_epoch == 1:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speech.SpeechTraining, "on_train_epoch_start", press)
        patch.setattr("signal.signal", lambda *_: None)  # Lightning would leave this process deaf to Ctrl-C
        with pytest.raises(KeyboardInterrupt):
            speech.train(QUICK, data, tmp_path / "out", runs=tmp_path)
    assert (tmp_path / "speech/final/last.ckpt").is_file()


def test_a_new_run_does_not_start_from_an_old_one(tmp_path: Path, data: Path) -> None:
    for out in ("first", "second"):
        speech.train(QUICK, data, tmp_path / out, runs=tmp_path / "runs")
    first, second = (checkpoint.load(tmp_path / out, "speech")[0] for out in ("first", "second"))
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hiden": 8}, "hiden: no such setting; did you mean `hidden`?"),
        ({"epochs": 0}, "epochs: 0 is wrong"),
        ({"dropout": "half"}, "dropout: 'half' is wrong"),
        ({"network": "gru"}, "network: 'gru' is unknown; the networks are lstm"),
        ({"shortest": 4.0}, "shortest: 4.0 is more than longest"),
        ({"validation_actors": []}, "validation_actors: .* is wrong"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, data: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(EmopipeError, match=message.replace("?", r"\?")):
        speech.train(QUICK | change, data, tmp_path / "out", runs=tmp_path)


def test_actors_that_are_not_there(tmp_path: Path, data: Path) -> None:
    with pytest.raises(DataError, match=r"validation_actors: 3, 9, but .* has actors 1, 2, 3; choose some of them"):
        speech.train(QUICK | {"validation_actors": [3, 9]}, data, tmp_path / "out", runs=tmp_path)
    with pytest.raises(DataError, match="leave others to train on"):
        speech.train(QUICK | {"validation_actors": [1, 2, 3]}, data, tmp_path / "out", runs=tmp_path)


def test_resuming_needs_a_run_with_the_same_settings(tmp_path: Path, data: Path) -> None:
    with pytest.raises(EmopipeError, match="no run to resume; start one without --resume"):
        speech.train(QUICK, data, tmp_path / "out", resume=True, runs=tmp_path)
    speech.train(QUICK | {"epochs": 1}, data, tmp_path / "out", runs=tmp_path)
    with pytest.raises(EmopipeError, match="started with these other settings"):
        speech.train(QUICK, data, tmp_path / "out", resume=True, runs=tmp_path)


def test_the_config_file_is_the_defaults_and_says_all_of_them() -> None:
    config = tomllib.loads((Path(__file__).parent.parent / "configs/training/speech.toml").read_text())
    assert settings(config, speech.Settings) == speech.Settings()
    assert set(config) == set(speech.Settings.__struct_fields__)
