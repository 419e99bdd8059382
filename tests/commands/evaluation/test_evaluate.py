import json
from pathlib import Path

import pytest
import torch

from emopipe.__main__ import main
from emopipe.models import checkpoint
from tests.support.fer2013 import write_folder
from tests.support.random_weights import facial_weights, speech_weights
from tests.support.voices import ravdess

pytestmark = pytest.mark.slow("trains small models first")

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def faces(here: Path) -> Path:
    facial_weights(here / "f.safetensors")
    return write_folder(here / "fer2013", train=1, validation=4)


def facial(*arguments: str) -> int:
    return main(["evaluate", "facial", "--data", "fer2013", "--weights", "f.safetensors", *arguments])


@pytest.mark.usefixtures("faces")
def test_the_terminal_the_json_and_the_pictures_tell_the_same(capsys: Captured) -> None:
    assert facial("--json", "new/f.json", "--pictures", "drawn") == 0
    output = capsys.readouterr().out
    found = json.loads(Path("new/f.json").read_text())
    assert found["n"] == 28
    assert "facial · fer2013 · images, 28" in output
    for figure in ("accuracy", "uar", "macro_f1", "ece"):
        assert f"{100 * found[figure]:.1f} %" in output
        low, high = found[f"{figure}_low"], found[f"{figure}_high"]
        assert 0 <= low <= high <= 1
        assert f"{100 * low:.1f}–{100 * high:.1f}" in output
    assert f"before calibration: {found['nll_uncalibrated']:.3f}" in output
    assert [sum(row) for row in found["confusion"]] == [4] * 7
    assert found["recall_happy"] == found["confusion"][3][3] / 4
    assert all(isinstance(value, float) for key, value in found.items() if key not in ("notes", "labels", "confusion"))
    drawn = [f"{name}-{kind}.png" for name in ("images", "people") for kind in ("confusion", "reliability")]
    assert sorted(path.name for path in Path("drawn").iterdir()) == drawn
    assert "drew drawn/images-confusion.png" in output


@pytest.mark.usefixtures("faces")
def test_what_was_trained_on_is_marked(capsys: Captured) -> None:
    assert facial("--split", "Training", "--json", "f.json") == 0
    assert "trained on" in capsys.readouterr().out
    assert "trained on" in json.loads(Path("f.json").read_text())["notes"][0]


def test_voices_are_bounded_by_people(here: Path, capsys: Captured) -> None:
    weights = speech_weights(here / "s.safetensors")
    ravdess(here / "voices", (8, 17, 21), (1, 5))
    speech = ["evaluate", "speech", "--data", "voices", "--weights", str(weights), "--json", "s.json"]
    assert main(speech) == 0
    found = json.loads(Path("s.json").read_text())
    assert (found["n"], found["groups"]) == (6, 3)
    assert found["labels"][:2] == ["neutral", "calm"]
    assert found["windows_n"] >= 6
    assert "clips, 6 in 3 groups" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("task", "home"),
    [("facial", "Kaggle"), ("speech", "Zenodo, record 1188976"), ("fusion", "Audio_Speech_Actors_01-24.zip")],
)
@pytest.mark.parametrize("verb", ["train", "evaluate"])
@pytest.mark.usefixtures("here")
def test_missing_data_is_named_with_where_to_get_it(capsys: Captured, verb: str, task: str, home: str) -> None:
    assert main([verb, task, "--data", "nowhere.zip"]) == 2
    error = capsys.readouterr().err
    assert "nowhere.zip: no such file or folder" in error
    assert home in error
    assert "--data" in error
    assert main([verb, task]) == 2
    assert "data/" in capsys.readouterr().err, "the usual place is named where nothing was given"


@pytest.mark.usefixtures("here")
def test_missing_faces_are_named(capsys: Captured) -> None:
    Path("voices").mkdir()
    assert main(["evaluate", "fusion", "--data", "voices", "--faces", "nowhere.parquet"]) == 2
    error = capsys.readouterr().err
    assert "nowhere.parquet: no such file or folder" in error
    assert "--faces" in error


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("option", "message"),
    [
        (["--json", "file/f.json"], "--json file/f.json: cannot be written ("),
        (["--json", "."], "--json .: a folder; give the name of a file"),
        (["--pictures", "file"], "--pictures file: a file; give the name of a folder"),
    ],
)
def test_what_cannot_be_written_is_found_before_the_work(capsys: Captured, option: list[str], message: str) -> None:
    Path("file").write_text("mine")
    assert main(["evaluate", "facial", "--data", "nowhere.zip", *option]) == 2
    assert message in capsys.readouterr().err
    assert Path("file").read_text() == "mine"


@pytest.mark.usefixtures("faces")
def test_a_file_that_is_there_is_kept_until_there_is_something_to_write(capsys: Captured) -> None:
    Path("f.json").write_text("older")
    assert facial("--split", "PrivateTest", "--json", "f.json") == 2
    assert "PrivateTest" in capsys.readouterr().err
    assert Path("f.json").read_text() == "older"
    assert facial("--split", "PrivateTest", "--json", "new.json") == 2
    assert not Path("new.json").exists()


@pytest.mark.usefixtures("faces")
@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ("task", "a speech model, but a facial model is needed"),
        ("network", "s.safetensors"),
        ("labels", "labels"),
        ("tensors", "s.safetensors"),
        ("bytes", "damaged weights"),
        ("missing", "no such weights"),
    ],
)
def test_weights_of_something_else_are_refused(here: Path, capsys: Captured, damage: str, message: str) -> None:
    path = here / "s.safetensors"
    state, card = checkpoint.load(here / "f.safetensors", "facial")
    if damage == "task":
        speech_weights(path)
    elif damage == "bytes":
        path.write_bytes((here / "f.safetensors").read_bytes()[:1000])
    elif damage != "missing":
        card.network = "nonesuch" if damage == "network" else card.network
        card.labels = ["bored", *card.labels[1:]] if damage == "labels" else card.labels
        if damage == "tensors":
            name = next(iter(state))
            state[name] = torch.zeros(3, 3)
        checkpoint.save(path, state, card)
    assert main(["evaluate", "facial", "--data", "fer2013", "--weights", str(path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "w", "--protocol", "actor-folds"], "--protocol actor-folds trains its own"),
        (["--config", "c"], "--config: --protocol model trains nothing; choose actor-folds, or leave --config out"),
        (["--resume"], "--resume: --protocol model trains nothing"),
    ],
)
def test_contradictions_are_refused(capsys: Captured, arguments: list[str], message: str) -> None:
    assert main(["evaluate", "speech", "--data", "nowhere", *arguments]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("task", ["facial", "speech"])
def test_another_layout_is_named(here: Path, capsys: Captured, task: str) -> None:
    (here / "empty").mkdir()
    (here / "empty" / "readme.txt").write_text("nothing")
    assert main(["evaluate", task, "--data", "empty"]) == 2
    assert "empty: no " in (error := capsys.readouterr().err)
    assert "expected" in error
