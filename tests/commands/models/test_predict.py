"""`emopipe predict`: what belongs together, what is written, and what becomes of files that cannot be used."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from emopipe.__main__ import main
from emopipe.commands.models.predict import decimate, expand, pairs, prior, settings_of
from emopipe.models.labels import FACE
from emopipe.pipeline.errors import EmopipeError, GraphError
from emopipe.predictor.inputs import IMAGES
from emopipe.predictor.prediction import Prediction
from tests.support.media import every, make
from tests.support.random_weights import facial_weights, fusion_weights, speech_weights
from tests.support.verbs import verb
from tests.support.voices import silence, voice, write


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The arguments that name weights of all three kinds."""
    folder = tmp_path_factory.mktemp("weights")
    made = (make(folder / make.__name__) for make in (facial_weights, speech_weights, fusion_weights))
    return [argument for path in made for argument in ("--weights", str(path))]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two faces as FER2013 has them, two voices, and what is neither."""
    folder = tmp_path_factory.mktemp("files")
    for name in ("anna", "ben"):
        pixels = np.random.default_rng(len(name)).integers(0, 256, (48, 48), np.uint8)
        cv2.imwrite(str(folder / f"{name}.png"), pixels)
    for name, pitch in (("anna", 210.0), ("carl", 110.0)):
        write(folder / f"{name}.wav", np.concatenate([silence(0.3), voice(0.9, pitch), silence(0.4)]))
    (folder / "notes.txt").write_text("nothing to see")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnonsense")
    return folder


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_one_picture_and_one_sound_belong_together_and_several_by_their_names() -> None:
    a, b, x, y = Path("a.png"), Path("b.png"), Path("x.wav"), Path("a.flac")
    assert pairs([a], [x]) == [(a, x)]
    assert pairs([a, b], [x, y]) == [(a, y), (b, None), (None, x)]
    assert pairs([], [x, y]) == [(None, x), (None, y)]


def test_folders_give_what_ends_rightly_and_a_named_file_may_end_as_it_likes(files: Path) -> None:
    assert [path.name for path in expand([files], [".png"])] == ["anna.png", "ben.png", "broken.png"]
    assert expand([files / "notes.txt"], [".png"]) == [files / "notes.txt"]
    assert expand([files / "anna.png", files], [".png"])[0] == files / "anna.png"


def test_a_prior_is_a_name_or_shares() -> None:
    assert prior("neutral") == "neutral"
    assert prior("neutral=0.5, happy=0.2") == {"neutral": 0.5, "happy": 0.2}
    for wrong in ("neutral=half", "neutral=0.5=0.2", "=,"):
        with pytest.raises(argparse.ArgumentTypeError, match="is neither training, uniform, neutral nor shares"):
            prior(wrong)


def test_a_folder_of_faces_and_voices_as_json_lines(
    files: Path, weights: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.jsonl"
    arguments = ["--image", str(files), "--audio", str(files), "--whole", "--json", str(out), *weights]
    assert verb("predict", *arguments) == 2  # one file is broken
    found = lines(out.read_text())
    names = [(Path(line.get("image", "")).name, Path(line.get("audio", "")).name) for line in found]
    assert names == [("anna.png", "anna.wav"), ("ben.png", ""), ("", "carl.wav")]
    both, face, sound = found
    assert both["fused"][0]["emotion"] in FACE
    assert len(face["faces"]) == 1
    assert "fused" not in face
    assert "voice" not in face
    assert sound["voice"]["confidence"] == max(sound["voice"]["probabilities"].values())
    assert len(sound["voice"]["windows"]) >= 2
    errors = capsys.readouterr().err
    assert "broken.png" in errors
    assert "1 problems with files" not in errors
    assert "1 problem with files; all else is done" in errors


@pytest.mark.parametrize("voice", [[], ["--audio", "{files}/anna.wav"]])
def test_where_nothing_was_predicted_nothing_is_said_to_be_done(
    files: Path, weights: list[str], capsys: pytest.CaptureFixture[str], voice: list[str]
) -> None:
    heard = [word.format(files=files) for word in voice]  # with a picture it is one prediction
    assert verb("predict", "--image", str(files / "broken.png"), *heard, *weights) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "emopipe: 1 problem with files"


def test_json_to_standard_output_holds_nothing_else(
    files: Path, weights: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert verb("predict", "--image", str(files / "ben.png"), "--json", *weights) == 0
    assert lines(capsys.readouterr().out) == [{"image": str(files / "ben.png"), "faces": []}]


def test_one_moment_in_so_many_seconds() -> None:
    film = Prediction(video="a.mp4", moments=[{"time": number / 10} for number in range(31)])
    decimate(film, 0.95)
    assert [moment["time"] for moment in film.moments] == [0.0, 1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to predict: name files with --image"),
        (["--image", "{empty}"], r"nothing to predict in \".*\": name files"),
        (["--image", "x.png", "--weights", "{empty}"], "a folder; give the file of weights in it"),
        (["--image", "x.png", "--weights", "{empty}/none"], "no such weights"),
        (["--image", "x.png", "--every", "-1"], "--every -1: expected seconds"),
        (["--image", "x.png", "--every", "nan"], "--every nan: expected seconds"),
        (["--image", "x.png", "--risk", "0"], "risk: 0 is not above 0"),
        (["--image", "x.png", "--prior", "neutrl"], 'did you mean "neutral"'),
        (["--image", "x.png", "--json", "{empty}"], "a folder; give the name of a file"),
        (["--image", "x.png", "--set", "stages.faces.max_faces=200"], "max_faces: 200 is not between 1 and 100"),
        (["--image", "x.png", "--set", "stages.facs.max_faces=2"], 'stages.facs: no such stage; did you mean "faces"'),
    ],
)
def test_wrong_arguments_are_named(arguments: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(EmopipeError, match=message):
        verb("predict", *(argument.replace("{empty}", str(tmp_path)) for argument in arguments))


def test_every_file_that_cannot_be_used_is_named(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = [str(files / "none.png"), str(files / "notes.txt"), str(files / "anna.wav")]
    assert verb("predict", "--image", *bad, "--video", str(files / "none.mp4")) == 2
    shown = capsys.readouterr()
    reasons = ("no such file", "is not a recording or picture that FFmpeg can read", "holds no picture")
    for path, reason in zip(bad, reasons, strict=True):
        assert any(path in line and reason in line for line in shown.err.splitlines()), shown.err
    assert "4 problems with files" in shown.err
    assert "nothing was predicted" in shown.err


@pytest.mark.parametrize("stages", ["", "stages = 3", "[stages]\ncapture = 3"])
def test_a_graph_that_is_none_is_said_to_be(tmp_path: Path, stages: str) -> None:
    film = make(tmp_path / "a.mp4", pictures=every(25, 0.2))
    (tmp_path / "mine.toml").write_text(stages)
    with pytest.raises(GraphError, match=r"mine\.toml"):
        verb("predict", "--video", str(film), "--graph", str(tmp_path / "mine.toml"))


def test_the_settings_are_those_of_the_graphs_stages() -> None:
    table = {
        "stages": {
            "capture": {"use": "camera", "device": "x"},
            "faces": {"use": "face-detection", "inputs": {"video": "capture.video"}, "max_faces": 3, "process": "p"},
            "more": {"use": "face-detection", "max_faces": 4},
            "mine": {"use": ["mine"]},
            "none": 3,
        }
    }
    assert settings_of(table) == {"face-detection": {"max_faces": 3}}
    assert settings_of({"stages": 3}) == settings_of({}) == {}


def test_the_command_passes_settings_on(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    face = pytest.importorskip("skimage.data").astronaut()[20:260, 110:350]
    cv2.imwrite(str(tmp_path / "two.png"), cv2.cvtColor(np.hstack([face, face]), cv2.COLOR_RGB2BGR))
    for limit, count in ((8, 2), (1, 1)):
        assert verb("predict", "--image", str(tmp_path), "--json", "--set", f"stages.faces.max_faces={limit}") == 0
        assert len(lines(capsys.readouterr().out)[0]["faces"]) == count


def test_a_back_end_that_is_not_installed_is_said_in_a_sentence(
    files: Path, weights: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    chosen = ["--backend", "onnxruntime", "--device", "cpu"]
    assert main(["predict", "--whole", "--image", str(files / "anna.png"), *weights, *chosen]) == 2
    expected = "backend 'onnxruntime' cannot be used: onnxruntime is not installed; pip install onnxruntime, or choose"
    assert capsys.readouterr().err == f"emopipe: {expected} another\n"


def test_a_full_disk_is_said_in_one_line(files: Path) -> None:
    with pytest.raises(EmopipeError) as caught:
        verb("predict", "--image", str(files / "ben.png"), "--json", "/dev/full")
    assert str(caught.value) == "--json /dev/full: cannot be written (No space left on device); choose another place"


def test_a_folder_says_what_it_leaves_out(
    weights: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("IMG_1.HEIC", "b.heif", "c.PNG", "notes.txt", "more.txt", "README", ".DS_Store", "d.wav"):
        (tmp_path / name).touch()
    assert [path.name for path in expand([tmp_path], IMAGES)] == ["IMG_1.HEIC", "b.heif", "c.PNG"]
    assert verb("predict", "--image", str(tmp_path), *weights) == 2  # they are empty
    left = f"emopipe: {tmp_path}: 4 files left out by their names' endings: 2 .txt, 1 no ending, 1 .wav"
    assert sorted(left.split(", ")) == sorted(capsys.readouterr().err.splitlines()[0].split(", "))
