"""Training fusion and evaluating it, on recordings small enough for a test."""

from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from emopipe.models import checkpoint
from emopipe.models.calibration import threshold
from emopipe.models.fusion.model import FaceObservation, FusionModel
from emopipe.models.fusion.networks import NETWORKS
from emopipe.models.labels import SPEECH
from emopipe.pipeline.errors import DataError, EmopipeError
from emopipe.training.fusion import train as fusion
from emopipe.training.speech.ravdess import speaker
from tests.support.pairs import faces, voices
from tests.support.random_weights import speech_weights

pytestmark = pytest.mark.slow("trains")

ACTORS = (1, 2, 3)  # of three folds
SPEAKERS = [speaker(actor) for actor in ACTORS]
QUICK: dict[str, Any] = {"epochs": 2, "moments": 2, "batch_size": 16}


def leaving_out(folder: Path, *actors: int) -> Path:
    """A network for voices, of random weights, that was trained on all `ACTORS` but these."""
    path = speech_weights(folder / "speech.safetensors")
    state, card = checkpoint.load(path, "speech")
    trained_on = [speaker(actor) for actor in ACTORS if actor not in actors]
    checkpoint.save(path, state, msgspec.structs.replace(card, config={"trained_on": trained_on}, temperature=1.0))
    return path


class Place:
    """A folder with everything that training needs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = voices(folder / "data", ACTORS)
        self.faces = faces(folder / "faces.parquet", ACTORS)
        self.networks = folder / "networks"
        for number, actor in enumerate(ACTORS, 1):
            leaving_out(self.networks / f"fold-{number}", actor)
        self.speech = leaving_out(folder / "shipped", 3)

    def config(self, **more: Any) -> dict[str, Any]:
        return QUICK | {"faces": str(self.faces), "voices": str(self.networks)} | more


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return Place(tmp_path_factory.mktemp("fusion"))


@pytest.fixture(autouse=True)
def _runs_apart(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place.folder)  # the caches are shared by all tests


@pytest.fixture(scope="module")
def trained(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place.folder)
        fusion.train(place.config(epochs=20), place.data, folder / "fusion.safetensors", runs=folder / "runs")
    return folder / "fusion.safetensors"


def test_it_learns_and_the_checkpoint_says_what_it_is(place: Place, trained: Path) -> None:
    _, card = checkpoint.load_arrays(trained, "fusion")
    assert (card.network, card.labels, card.config["trained_on"]) == ("decision", list(SPEECH), SPEAKERS)
    assert card.prior == pytest.approx(
        {label: 1 / 3 if label in ("neutral", "happy", "angry") else 0 for label in SPEECH}
    )
    # The faces tell everything, the networks for voices nothing.
    assert card.metrics["accuracy"] > 0.8
    assert card.metrics["voice_plain_accuracy"] < 0.6
    assert card.metrics["folds"] == 3
    model = FusionModel.load(trained)
    assert model.temperature == card.temperature > 0
    happy = model.fuse([FaceObservation(0.1, [0.02, 0.02, 0.02, 0.88, 0.02, 0.02, 0.02])])
    assert SPEECH[int(happy.argmax())] == "happy"
    assert happy.sum() == pytest.approx(1)


def test_a_table_of_risks_comes_with_it(trained: Path) -> None:
    model = FusionModel.load(trained)
    thresholds = [threshold(model.selective, risk) for risk in (0.5, 0.7, 1.0)]
    assert thresholds == sorted(thresholds, reverse=True)
    assert thresholds[-1] == 0


def test_the_weights_are_scored_as_they_are(place: Place, trained: Path) -> None:
    evaluation = fusion.evaluate(place.data, place.faces, trained, speech=place.speech)
    report = evaluation.report()
    figures = report.flat()
    assert next(iter(evaluation.answers)) == "fused"
    assert figures["n"] == 9
    halves = max(figures["face_accuracy"], figures["voice_accuracy"])
    assert figures["gain"] == pytest.approx(figures["accuracy"] - halves)
    assert figures["face_accuracy"] == max(figures["voice_missing_accuracy"], figures["face_plain_accuracy"])
    for name in ("face_missing", "voice_missing", "noisy_face", "noisy_voice", "moments"):
        assert 0 <= figures[f"{name}_accuracy"] <= 1
    follows = [figures[f"contradicting_follows_{half}"] for half in ("face", "voice", "neither")]
    assert sum(follows) == pytest.approx(1)
    assert any("fusion model was trained on ravdess/01, ravdess/02, ravdess/03:" in note for note in report.notes)
    assert any("speech model was trained on ravdess/01, ravdess/02:" in note for note in report.notes)


def test_some_actors_of_one_fold_are_enough_for_scoring(place: Place, trained: Path, tmp_path: Path) -> None:
    data, seen = voices(tmp_path / "data", [3], [1, 3]), faces(tmp_path / "faces.parquet", [3, 4], [1, 3])
    report = fusion.evaluate(data, seen, trained, speech=place.speech).report()
    assert report.flat()["n"] == 2
    assert "2 clips have a face only and were left out." in report.notes
    with pytest.raises(DataError, match="at least two of RAVDESS's five folds"):
        fusion.evaluate(data, seen, protocol="actor-folds", config=place.config())


def test_in_folds_nobody_is_tested_on_who_was_trained_on(place: Place, tmp_path: Path) -> None:
    report = fusion.evaluate(
        place.data, place.faces, protocol="actor-folds", config=place.config(network="feature"), runs=tmp_path
    ).report()
    figures = report.flat()
    assert (figures["n"], figures["folds"]) == (9, 3)
    assert (tmp_path / "fusion/feature/fold-3/last.ckpt").is_file()
    assert not any("was trained on" in note for note in report.notes)


def test_translated_faces_are_learnt_from_and_tested_beside(place: Place, tmp_path: Path) -> None:
    others = faces(tmp_path / "translated.parquet", ACTORS, share=0.0)  # of no use, and so a worse face to believe in
    config = place.config(translated=[str(others)], epochs=20)
    fusion.train(config, place.data, tmp_path / "fusion.safetensors", runs=tmp_path)
    _, card = checkpoint.load_arrays(tmp_path / "fusion.safetensors", "fusion")
    assert card.config["translated"] == ["translated.parquet"]
    assert card.metrics["translated_1_accuracy"] < card.metrics["accuracy"]


@pytest.mark.parametrize("network", NETWORKS)
def test_a_resumed_run_ends_as_an_uninterrupted_one(place: Place, network: str, tmp_path: Path) -> None:
    config = place.config(network=network, epochs=1, cross_validate=False)
    once, twice = tmp_path / "once.safetensors", tmp_path / "twice.safetensors"
    fusion.train(config, place.data, once, runs=tmp_path)
    fusion.train(config, place.data, twice, resume=True, runs=tmp_path)
    one, other = (checkpoint.load_arrays(path, "fusion")[0] for path in (once, twice))
    assert all(np.array_equal(one[name], other[name]) for name in one)
    with pytest.raises(EmopipeError, match="started with other settings or data"):
        fusion.train(config | {"epochs": 3}, place.data, twice, resume=True, runs=tmp_path)


def test_networks_for_voices_are_trained_where_there_are_none(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    class Quick:
        corpus, seeds = None, (1,)

        def __init__(self, config: object, data: Path, run: Path, resume: bool) -> None:
            made.append((data, run, resume))

        def cross_validate(self, folds: object) -> None:
            for number, actor in enumerate(ACTORS, 1):
                leaving_out(tmp_path / "made" / f"fold-{number}", actor)

    monkeypatch.setattr("emopipe.training.speech.train.TrainingRun", Quick)
    monkeypatch.setattr("emopipe.training.speech.folds.speaker_folds", lambda corpus, seeds: [])
    config = place.config(epochs=1, cross_validate=False, voices=str(tmp_path / "made"))
    fusion.train(config, place.data, tmp_path / "out.safetensors", runs=tmp_path)
    assert made == [(place.data, tmp_path / "made", False)]
    assert (tmp_path / "out.safetensors").is_file()


def test_fusion_learns_from_strangers_of_an_unknown_corpus_too_where_a_network_is_one(
    place: Place, tmp_path: Path
) -> None:
    for number, actor in enumerate(ACTORS, 1):
        leaving_out(tmp_path / "networks" / f"fold-{number}", actor)
    config = place.config(voices=str(tmp_path / "networks"), network="feature")
    evaluate = partial(fusion.evaluate, place.data, place.faces, protocol="actor-folds", runs=tmp_path)
    assert "foreign_fused_accuracy" not in evaluate(config=config).report().flat()
    leaving_out(tmp_path / "networks/fold-without-ravdess", *ACTORS)
    figures = evaluate(config=config).report().flat()
    assert {"foreign_fused_accuracy", "foreign_face_accuracy", "foreign_voice_accuracy"} <= set(figures)


def test_a_voice_that_every_network_knows_is_refused(place: Place, tmp_path: Path) -> None:
    leaving_out(tmp_path / "networks/fold-1", 1)
    with pytest.raises(DataError, match="no network for voices that was not trained on ravdess/02"):
        fusion.train(place.config(voices=str(tmp_path / "networks")), place.data, tmp_path / "out.safetensors")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"network": "decisions"}, "network: 'decisions' is unknown; the networks are decision, feature, attention"),
        ({"epoch": 3}, 'epoch: unknown setting; did you mean "epochs"?'),
        ({"face_alone": 2}, "face_alone: 2 is not"),
        ({"face_alone": 0.6, "voice_alone": 0.6}, "face_alone, voice_alone, shared_out and contradicting add up to"),
    ],
)
def test_wrong_settings_are_named(place: Place, wrong: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(EmopipeError, match=message):
        fusion.train(place.config() | wrong, place.data, tmp_path / "out.safetensors")


def test_an_unknown_protocol_is_refused(place: Place) -> None:
    with pytest.raises(EmopipeError, match="'folds' is unknown; the protocols are model, actor-folds"):
        fusion.evaluate(place.data, place.faces, protocol="folds")
