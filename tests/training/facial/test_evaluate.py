import shutil
from pathlib import Path

import pytest

from emopipe.models.facial.model import FacialModel
from emopipe.pipeline.errors import DataError, EmopipeError
from emopipe.training.facial import class_folders, fer2013
from emopipe.training.facial.evaluate import evaluate
from tests.support.fer2013 import encoded, image, write_folder
from tests.support.rafdb import write_ck, write_rafdb
from tests.support.random_weights import facial_weights


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return facial_weights(tmp_path_factory.mktemp("weights") / "facial.safetensors")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "fer2013", train=3, validation=4)


def test_duplicates_of_training_images_are_told_apart(weights: Path, data: Path) -> None:
    seen = next((data / "train" / "sad").iterdir())
    shutil.copy(seen, data / "test" / "sad" / "PrivateTest_1.jpg")
    (data / "test" / "happy" / "PrivateTest_2.jpg").write_bytes(encoded(image(3, 12345)))
    (data / "test" / "happy" / "PrivateTest_3.jpg").write_bytes(b"")
    evaluation = evaluate(data, weights, "PrivateTest")
    figures = evaluation.report().flat()
    assert (figures["n"], figures["n_duplicates"], figures["n_damaged"]) == (2, 1, 1)
    assert figures["accuracy_without_duplicates"] == figures["uar_without_duplicates"] in (0.0, 1.0)
    notes = " ".join(evaluation.notes)
    assert "Nothing was trained, fitted or chosen on PrivateTest. These are 2 of its 3,589 images." in notes
    assert "1 damaged images" in notes
    assert "by the list" not in notes

    shutil.rmtree(data / "train")
    alone = evaluate(data, weights, "PrivateTest")
    assert alone.figures["n_duplicates"] == 0
    assert "found by the list in the package" in " ".join(alone.notes)


def test_fer2013_is_scored_in_its_own_labelling_and_in_peoples(weights: Path, data: Path, tmp_path: Path) -> None:
    split = fer2013.load(data).split("PublicTest")
    shown = FacialModel.load(weights, "cpu").probabilities(split.images).argmax(axis=1)
    votes = tmp_path / "votes.csv"
    columns = "name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    # People see neutral in all but two images, of which they are not sure.
    rows = [f"{name},{'9,1' if place > 1 else '5,5'},0,0,0,0,0,0,0,0" for place, name in enumerate(split.names)]
    votes.write_text("\n".join([columns, *rows]))
    figures = evaluate(data, weights, votes=votes).report().flat()
    assert figures["people_accuracy"] == pytest.approx((shown == split.targets).mean())
    assert figures["votes_n"] == 26
    assert figures["votes_accuracy"] == figures["votes_neutral_recall"] == pytest.approx((shown[2:] == 6).mean())
    plain = evaluate(data, weights)
    assert "votes_accuracy" not in plain.report().flat()
    assert plain.report().flat()["accuracy"] == figures["accuracy"]
    assert "chosen and calibrated on PublicTest" in plain.notes[0]
    assert "by the output that learnt them" in plain.notes[1]
    assert "trained on these images" in evaluate(data, weights, "Training").notes[0]


def test_votes_that_are_missing_or_unclear_are_said(weights: Path, data: Path, tmp_path: Path) -> None:
    votes = tmp_path / "votes.csv"
    columns = "name,neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
    name = fer2013.load(data).split("PublicTest").names[0]
    votes.write_text(f"{columns}\n{name},5,5,0,0,0,0,0,0,0,0")
    notes = " ".join(evaluate(data, weights, votes=votes).notes)
    assert "27 images have no votes" in notes
    assert "No image has 6 votes for one class" in notes


def test_other_corpora_are_scored_by_what_the_stages_give(weights: Path, tmp_path: Path) -> None:
    rafdb, ck = write_rafdb(tmp_path / "raf", train=20, test=7), write_ck(tmp_path / "ck")
    pictures = class_folders.load(rafdb, "test")
    shown = FacialModel.load(weights, "cpu").probabilities(pictures.images).argmax(axis=1)
    figures = evaluate(rafdb, weights, "test").report().flat()
    assert (figures["n"], figures["accuracy"]) == (7, pytest.approx((shown == pictures.targets).mean()))
    assert {"uar", "ece", "accuracy"} <= figures.keys()
    assert evaluate(rafdb, weights).report().flat()["n"] == 7
    assert evaluate(rafdb, weights, "validation").report().flat()["n"] == 2
    evaluation = evaluate(ck, weights)
    assert evaluation.report().flat()["n_left_out_contempt"] == 2
    assert "2 images left out: contempt." in evaluation.notes


def test_what_does_not_go_together_is_refused(weights: Path, data: Path, tmp_path: Path) -> None:
    with pytest.raises(EmopipeError, match="split: 'test' is unknown; the splits are Training, PublicTest, Priv"):
        evaluate(data, weights, "test")
    rafdb = write_rafdb(tmp_path / "raf")
    with pytest.raises(EmopipeError, match="split: 'PublicTest' is unknown; the splits are train, validation, test"):
        evaluate(rafdb, weights, "PublicTest")
    with pytest.raises(EmopipeError, match="--votes v: FER"):
        evaluate(rafdb, weights, votes=Path("v"))
    with pytest.raises(DataError, match="nowhere: no such file"):
        evaluate(tmp_path / "nowhere", weights)
