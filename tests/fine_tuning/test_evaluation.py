"""Evaluating on files of one's own: which classes are known, who is left out, and figures that are right."""

import json
import shutil
import zipfile
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from emopipe.__main__ import main
from emopipe.fine_tuning.evaluation import meaning
from emopipe.models.labels import FACE, SPEECH
from tests.support.own_files import noise_pictures
from tests.support.verbs import verb


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def evaluated(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[dict[str, Any], str]:
    """The figures that `emopipe evaluate` writes, and all that it prints."""
    assert verb("evaluate", *arguments, "--json", "figures.json") == 0
    return json.loads(Path("figures.json").read_text()), " ".join(capfd.readouterr().out.split())


@pytest.mark.parametrize(
    ("label", "labels", "emotions", "meant"),
    [
        ("Cross", ("cross", "angry"), FACE, "cross"),
        ("Anger", FACE, FACE, "angry"),
        ("calm", FACE, FACE, "neutral"),
        ("calm", SPEECH, SPEECH, "calm"),
        ("fear", SPEECH, SPEECH, "fearful"),
        ("happy", ("joy", "bored"), FACE, "joy"),
        ("happy", ("joy", "happiness"), FACE, None),
        ("bored", FACE, FACE, None),
    ],
)
def test_a_class_is_known_by_its_name_or_its_emotion(
    label: str, labels: tuple[str, ...], emotions: tuple[str, ...], meant: str | None
) -> None:
    assert meaning(label, labels, emotions) == meant


def test_the_shipped_weights_are_scored_in_the_classes_that_they_know(capfd: pytest.CaptureFixture[str]) -> None:
    for label in ("happy", "Anger", "bored"):
        noise_pictures(Path("mine", label))
    figures, said = evaluated(capfd, "facial", "--data", "mine", "--pictures", "drawn")
    assert figures["labels"] == list(FACE)
    shown = [sum(row) for row in figures["confusion"]]
    assert shown == [5, 0, 0, 5, 0, 0, 0]
    right = [row[place] for place, row in enumerate(figures["confusion"])]
    assert figures["accuracy"] == pytest.approx(sum(right) / 10)
    assert figures["uar"] == pytest.approx((right[0] / 5 + right[3] / 5) / 2)
    assert {"uar_low", "accuracy_high", "ece", "answered"} <= figures.keys()
    assert "Classes counted by other names: Anger as angry." in said
    assert '5 files left out: "bored" is no label of the weights.' in said
    assert "Nobody here shows disgust, fear, sad, surprise, neutral" in said
    assert "Nobody knows who is in which picture" in said
    assert list(Path("drawn").glob("*.png"))


@pytest.mark.slow("a training, and two evaluations with their intervals")
def test_people_and_files_that_taught_the_weights_are_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    for number, person in enumerate(("anna", "ben", "cleo")):
        for label in ("a", "bb"):
            noise_pictures(Path("mine", person, label), seed=number)
    assert verb("train", "facial", "--data", "mine") == 0
    capfd.readouterr()
    arguments = ("facial", "--weights", "mine.safetensors", "--data")
    assert main(["evaluate", *arguments, "mine"]) == 2
    error = " ".join(capfd.readouterr().err.split())
    assert "mine: mine.safetensors learnt from everybody in it; give people whom it does not know" in error

    shutil.copytree(Path("mine", "anna"), Path("others", "dora"))  # files that taught it, under another name
    for label in ("a", "bb"):
        noise_pictures(Path("others", "emil", label), seed=7)
        noise_pictures(Path("others", "ben", label), seed=8)
    figures, said = evaluated(capfd, *arguments, "others")
    assert figures["n"] == 10
    assert figures["groups"] == 1
    assert "Left out, since the weights learnt from people of this name: ben." in said
    assert "10 files left out: the weights learnt from it." in said
    assert "a confidence of 0.7, since the weights have no table of risks" in said

    rows = [f"others/emil/{label}/{number}.png,{label},{number}" for label in ("a", "bb") for number in range(5)]
    Path("table.csv").write_text("\n".join(["path,label,person", *rows]))
    figures, said = evaluated(capfd, *arguments, "table.csv")
    assert (figures["n"], figures["groups"]) == (10, 5)
    assert figures["uar_low"] <= figures["uar"] <= figures["uar_high"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], 'its classes are "a" and "bb", but facial.safetensors knows "angry", "disgust"'),
        (["--split", "test"], "--split test: mine is your own, and scored as it is; leave it out"),
        (["--weights", "none.safetensors"], "none.safetensors: no such weights"),
        (["--people", "none.csv"], "none.csv: cannot be read"),
    ],
)
def test_what_cannot_be_scored_is_said(capfd: pytest.CaptureFixture[str], options: list[str], said: str) -> None:
    for label in ("a", "bb"):
        noise_pictures(Path("mine", label))
    assert main(["evaluate", "facial", "--data", "mine", *options]) == 2
    error = " ".join(capfd.readouterr().err.split())
    assert said in error
    assert "Traceback" not in error


@pytest.mark.slow("the voice encoder on real speech")
def test_voices_are_scored_by_segments_and_windows(capfd: pytest.CaptureFixture[str], shared_media: Path) -> None:
    names = {"03": "joy", "05": "angry"}  # RAVDESS's codes
    rows = ["path,label,person"]
    with zipfile.ZipFile(shared_media.parent / "data" / "ravdess-speech-16k.zip") as archive:
        for name in archive.namelist():
            _, _, emotion, strength, _, again, *actor = PurePosixPath(name).stem.split("-")
            if actor and actor[0] in ("01", "02", "03") and emotion in names and (strength, again) == ("02", "01"):
                Path(f"{len(rows)}.flac").write_bytes(archive.read(name))
                rows.append(f"{len(rows)}.flac,{names[emotion]},{actor[0]}")
    Path("mine.csv").write_text("\n".join(rows))
    figures, said = evaluated(capfd, "speech", "--data", "mine.csv")
    assert len(rows) == 13
    assert figures["groups"] == 3
    assert figures["n"] >= 12
    assert figures["windows_n"] > figures["n"]
    assert "calm" not in figures["labels"]
    assert "calm counts as neutral, since nobody here is called calm." in said
    assert "Classes counted by other names: joy as happy." in said
    assert figures["uar"] > 0.6  # it was trained on these three, which its own list of people cannot tell
