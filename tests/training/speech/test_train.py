import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from emopipe.models import checkpoint
from emopipe.models.labels import SPEECH
from emopipe.models.speech.model import SpeechModel
from emopipe.pipeline.errors import DataError, EmopipeError
from emopipe.training.speech import train as speech
from tests.support.voices import ravdess

pytestmark = pytest.mark.slow("trains")

# Small enough for a test. The synthetic clips differ by pitch alone, which is soon learnt.
QUICK: dict[str, Any] = {
    "network": "cnn",
    "channels": 16,
    "blocks": 1,
    "embedding": 8,
    "epochs": 2,
    "cycles": 1,
    "batch_size": 8,
    "speeds": [1.0],
    "cross_validate": False,
    "validation_speakers": ["ravdess/03"],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ravdess(tmp_path_factory.mktemp("ravdess"), (1, 2, 3))


@pytest.fixture(autouse=True)
def _cache_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_it_learns_and_the_checkpoint_says_what_it_is(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "speech.safetensors"
    config = QUICK | {"epochs": 40, "ema_decay": 0.9, "label_smoothing": 0.0}
    speech.train(config, data, out)
    _, card = checkpoint.load(out, "speech")
    assert card.labels == list(SPEECH)
    assert card.prior == dict.fromkeys(SPEECH, 1 / 8)
    assert card.config["trained_on"] == ["ravdess/01", "ravdess/02"]
    assert card.config["epochs"] == 40
    assert card.metrics["validation_n"] == 8
    assert card.metrics["validation_uar"] > 0.5  # an actor it has not heard; chance is 0.125
    assert [seconds for seconds, _ in card.temperatures] == [0.5, 1.0, 2.0, 3.0]
    assert SpeechModel.load(out).labels == SPEECH
    assert (tmp_path / "runs/speech/final/metrics.csv").read_text().startswith("epoch,")
    assert list((tmp_path / "runs/speech/final").glob("events.out.tfevents.*"))
    evaluation = speech.evaluate(data, out)
    figures = evaluation.report().flat()
    assert next(iter(evaluation.answers)) == "clips"
    assert (figures["n"], figures["unseen_n"], figures["calibrated_n"]) == (24, 8, 24)
    assert figures["unseen_uar"] == pytest.approx(card.metrics["validation_uar"])
    assert figures["accuracy_after_0_clips"] == pytest.approx(figures["accuracy"])
    assert "trained on ravdess/01, ravdess/02:" in evaluation.notes[0]


def test_a_model_is_scored_on_a_single_stranger(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "speech.safetensors"
    speech.train(QUICK | {"epochs": 1}, data, out)
    evaluation = speech.evaluate(data / "Actor_03", out)
    assert evaluation.notes == []
    assert evaluation.report().flat()["n"] == 8
    with pytest.raises(DataError, match="at least two of RAVDESS's five folds"):
        speech.evaluate(data / "Actor_03", protocol="actor-folds", config=QUICK | {"validation_speakers": []})
    alone = speech.evaluate(
        data / "Actor_03", protocol="random", config=QUICK | {"epochs": 1, "validation_speakers": []}
    )
    assert "no actor-folds beside it: only ravdess/03" in alone.notes[1]


def test_cross_validation_tests_each_fold_on_what_the_others_taught(tmp_path: Path) -> None:
    data = ravdess(tmp_path / "data", (1, 2, 3, 4, 6), (1, 5))
    out = tmp_path / "speech.safetensors"
    config = QUICK | {"epochs": 1, "cross_validate": True, "validation_speakers": [], "batch_size": 2}
    speech.train(config, data, out)
    run = tmp_path / "runs/speech"
    # Folds {2}, {3, 6} and {1, 4}.
    for number, actors in enumerate(([1, 3, 4, 6], [1, 2, 4], [2, 3, 6]), 1):
        others = [f"ravdess/{actor:02d}" for actor in actors]
        card = checkpoint.load(run / f"fold-{number}/speech.safetensors", "speech")[1]
        assert card.config["trained_on"] == others
        assert len(card.temperatures) == 4  # fitted on the other folds' answers
    found = json.loads((run / "cross-validation.json").read_text())
    assert (found["n"], found["folds"], found["groups"]) == (10, 3, 5)
    assert {"uar_mean", "uar_sd", "windows_ece", "calibrated_accuracy", "uar_after_8_clips"} <= set(found)
    card = checkpoint.load(out, "speech")[1]
    assert card.metrics == found
    assert card.config["trained_on"] == [f"ravdess/{actor:02d}" for actor in (1, 2, 3, 4, 6)]
    kept = load_file(run / "out-of-fold.safetensors")
    assert kept["clips"].shape == kept["calibrated"].shape == (10, 8)
    # Each fold's network gives the very logits that were kept.
    first = SpeechModel.load(run / "fold-1/speech.safetensors", "cpu")
    clips = [clip for clip in speech.corpora.read(data)[1.0].clips if clip.name.speaker == "ravdess/02"]
    again = first.logits([clip.mfcc[slice(*clip.speech)] for clip in clips])
    assert torch.equal(torch.from_numpy(again), kept["clips"][kept["folds"] == 0])


def test_folds_that_are_trained_are_not_trained_again(tmp_path: Path) -> None:
    data = ravdess(tmp_path / "data", (1, 2), (1, 5))
    config = QUICK | {"epochs": 1, "validation_speakers": [], "batch_size": 2, "seeds": 2}
    first = speech.evaluate(data, protocol="actor-folds", config=config)

    def never(*_: Any, **__: Any) -> None:
        raise AssertionError("trained again")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(speech, "fit", never)
        again = speech.evaluate(data, protocol="actor-folds", config=config, resume=True)
    assert torch.equal(first.answers["clips"].logits, again.answers["clips"].logits)
    assert first.report().flat()["n"] == 8  # each clip with two seeds
    leaking = speech.evaluate(data, protocol="random", config=config | {"seeds": 1})
    assert "leak" in leaking.notes[0]
    assert {"clips", "actor_folds_clips"} <= set(leaking.answers)


def test_the_same_seed_gives_the_same_bits_also_when_resumed(tmp_path: Path, data: Path) -> None:
    config = QUICK | {"epochs": 4, "network": "ensemble", "members": ["cnn", "lstm"], "hidden": 8}
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


def test_a_new_run_does_not_start_from_an_old_one(tmp_path: Path, data: Path) -> None:
    for out in ("first", "second"):
        speech.train(QUICK, data, tmp_path / out)
    first, second = (checkpoint.load(tmp_path / out, "speech")[0] for out in ("first", "second"))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_patience_stops_a_training_that_no_longer_improves(tmp_path: Path, data: Path) -> None:
    config = QUICK | {"epochs": 60, "patience": 1, "learning_rate": 1e-9, "ema_decay": 0.0}
    speech.train(config, data, tmp_path / "out")
    assert len((tmp_path / "runs/speech/final/metrics.csv").read_text().splitlines()) < 60


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hiden": 8}, 'hiden: unknown setting; did you mean "hidden"?'),
        ({"epochs": 0}, "epochs: 0 is not"),
        ({"dropout": "half"}, 'dropout: expected a number, got "half"'),
        ({"network": "gru"}, "network: 'gru' is unknown; the networks are lstm, cnn"),
        ({"members": ["cnn", "ensemble"]}, "members: 'ensemble' is unknown; the members may be lstm, cnn"),
        ({"shortest": 4.0}, "shortest: 4.0 is more than longest"),
        ({"patience": 2, "validation_speakers": []}, "patience: somebody has to be listened to"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, data: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(EmopipeError, match=message.replace("?", r"\?")):
        speech.train(QUICK | change, data, tmp_path / "out")


def test_actors_that_are_not_there(tmp_path: Path, data: Path) -> None:
    with pytest.raises(
        DataError, match=r"validation_speakers: ravdess/09 are not among the speakers of the data \(ravdess/01, ravd"
    ):
        speech.train(QUICK | {"validation_speakers": ["ravdess/03", "ravdess/09"]}, data, tmp_path / "out")
    with pytest.raises(DataError, match="nobody is left to train on"):
        speech.train(
            QUICK | {"validation_speakers": ["ravdess/01", "ravdess/02", "ravdess/03"]}, data, tmp_path / "out"
        )


def test_resuming_needs_a_run_with_the_same_settings_and_data(tmp_path: Path, data: Path) -> None:
    with pytest.raises(EmopipeError, match="no run to resume; start one without --resume"):
        speech.train(QUICK, data, tmp_path / "out", resume=True)
    speech.train(QUICK | {"epochs": 1}, data, tmp_path / "out")
    with pytest.raises(EmopipeError, match="started with other settings or data"):
        speech.train(QUICK, data, tmp_path / "out", resume=True)
    with pytest.raises(EmopipeError, match="started with other settings or data"):
        speech.train(QUICK | {"epochs": 1}, data / "Actor_03", tmp_path / "out", resume=True)


def test_an_unknown_protocol(data: Path) -> None:
    with pytest.raises(EmopipeError, match="protocol: 'folds' is unknown; the protocols are model, corpora, actor-f"):
        speech.evaluate(data, protocol="folds")
