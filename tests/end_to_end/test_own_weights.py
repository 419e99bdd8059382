"""Fine-tuned weights for faces and for voices, side by side: what fusion maps and what it says it cannot.

By both ways: the default graph, and `emopipe predict` on a picture and a sound.
"""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from emopipe.__main__ import main
from emopipe.models.labels import FACE, SPEECH
from tests.support.paths import ROOT
from tests.support.verbs import verb

FACES = {"happy": "content", "angry": "cross"}
VOICES = {"03": "cheery", "05": "cross"}  # RAVDESS's codes of happy and angry
FACES_MEAN = 'stages.facial.emotions={ content = "happy", cross = "angry" }'
VOICES_MEAN = 'stages.speech.emotions={ cheery = "happy", cross = "angry" }'
NO_FACES = 'faces: labels that are no emotions ("content" and "cross")'
NO_VOICES = 'speech: labels that are no emotions ("cheery" and "cross")'
TOLD = {(): (NO_FACES, NO_VOICES), (FACES_MEAN,): (NO_VOICES,), (VOICES_MEAN,): (NO_FACES,)}
"""What is said of fusion, by what labels are said to mean; with both nothing."""


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory, shared_media: Path) -> Path:
    """A folder with weights for faces and for voices, and what they learnt from."""
    folder, data = tmp_path_factory.mktemp("own"), shared_media.parent / "data"
    with zipfile.ZipFile(data / "rafdb-train.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith("0_aligned.jpg"))
        for label, word in FACES.items():
            (folder / "faces" / word).mkdir(parents=True)
            for number, name in enumerate([each for each in names if f"/{label}/" in each][:12]):
                (folder / "faces" / word / f"{number}.jpg").write_bytes(archive.read(name))
    rows = ["path,label,person"]
    with zipfile.ZipFile(data / "ravdess-speech-16k.zip") as archive:
        for name in archive.namelist():
            _, _, emotion, strength, _, _, *actor = PurePosixPath(name).stem.split("-")
            if actor and actor[0] in ("01", "02", "03") and emotion in VOICES and strength == "02":
                (folder / f"{len(rows)}.flac").write_bytes(archive.read(name))
                rows.append(f"{len(rows)}.flac,{VOICES[emotion]},{actor[0]}")
    (folder / "voices.csv").write_text("\n".join(rows))
    for task, path in (("facial", "faces"), ("speech", "voices.csv")):
        assert verb("train", task, "--data", str(folder / path), "--out", str(folder / f"{task}.safetensors")) == 0
    return folder


def overrides(meant: Sequence[str]) -> list[str]:
    return [word for each in meant for word in ("--set", each)]


@pytest.mark.slow("trains on real faces and voices, and runs the default graph")
@pytest.mark.parametrize("meant", [(), (FACES_MEAN,), (FACES_MEAN, VOICES_MEAN)])
def test_the_default_graph_fuses_what_is_an_emotion_and_says_what_is_not(
    own: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    meant: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    sink = '\n[stages.results]\nuse = "jsonl"\ninputs.emotions = "fusion.emotions"\npath = "results.jsonl"\n'
    Path("graph.toml").write_text((ROOT / "pipeline.toml").read_text() + sink)
    weights = [f'stages.{task}.weights="{own / task}.safetensors"' for task in ("facial", "speech")]
    shorter = ("stages.capture.duration=6.0", "stages.capture.realtime=false")
    assert verb("run", "graph.toml", *overrides((*weights, *shorter, *meant))) == 0
    said = " ".join(capfd.readouterr().err.split())
    assert {text for text in (NO_FACES, NO_VOICES) if text in said} == {*TOLD.get(meant, ())}

    results = [json.loads(line) for line in Path("results.jsonl").read_text().splitlines()]
    faces = [face for each in results for face in each["faces"]]
    voices = [each["voice"] for each in results if each["voice"]]
    seen = FACE if FACES_MEAN in meant else tuple(FACES.values())
    heard = FACE if VOICES_MEAN in meant else tuple(sorted(VOICES.values()))
    assert len(faces) > 20
    assert voices
    assert {tuple(sorted(face["probabilities"])) for face in faces} == {tuple(sorted(seen))}
    assert {tuple(sorted(voice["probabilities"])) for voice in voices} == {tuple(sorted(heard))}
    assert any(face["face"]["weight"] < 1 for face in faces) is (len(meant) == 2)  # the voice has a say in them


@pytest.mark.slow("trains on real faces and voices, if no test before has")
@pytest.mark.parametrize("meant", [*TOLD, (FACES_MEAN, VOICES_MEAN)])
def test_predict_does_the_same(
    own: Path,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    meant: tuple[str, ...],
) -> None:
    picture, sound = next((own / "faces" / "content").iterdir()), own / "1.flac"
    weights = [word for task in ("facial", "speech") for word in ("--weights", str(own / f"{task}.safetensors"))]
    files = ("--image", str(picture), "--whole", "--audio", str(sound))
    assert verb("predict", *files, *weights, "--json", *overrides(meant)) == 0
    result: dict[str, Any] = json.loads(capfd.readouterr().out)
    assert {text for text in (NO_FACES, NO_VOICES) if text in caplog.text} == {*TOLD.get(meant, ())}
    (face,) = result["faces"]
    assert set(face["probabilities"]) == {*(FACE if FACES_MEAN in meant else FACES.values())}
    assert set(result["voice"]["probabilities"]) == {*(SPEECH if VOICES_MEAN in meant else VOICES.values())}
    if len(meant) < 2:
        assert "fused" not in result
    else:
        (fused,) = result["fused"]
        assert set(fused["probabilities"]) == {*FACE}
        assert fused["uncertain"] is (fused["confidence"] < 0.7)


@pytest.mark.slow("trains on real faces and voices, if no test before has")
def test_a_label_that_the_weights_do_not_know_is_named(own: Path, capfd: pytest.CaptureFixture[str]) -> None:
    picture = next((own / "faces" / "content").iterdir())
    arguments = ["--image", str(picture), "--whole", "--weights", str(own / "facial.safetensors")]
    assert main(["predict", *arguments, "--set", 'stages.facial.emotions={ contnt = "happy" }']) == 2
    error = " ".join(capfd.readouterr().err.split())
    assert 'facial-inference: emotions: "contnt" is none of the model\'s labels; did you mean "content"?' in error
