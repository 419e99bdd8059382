"""Fine-tuning on sounds of one's own: real voices, classes of any name, each person judged by what others taught."""

import json
import shutil
import wave
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from emopipe.__main__ import main
from emopipe.fine_tuning.data import is_own_voices
from emopipe.models import checkpoint
from emopipe.models.speech.model import SpeechModel
from tests.support.verbs import verb

NAMES = {"04": "low", "05": "cross"}  # RAVDESS's codes of sad and angry
PEOPLE = ("01", "02", "03", "04")
STRONG = "02"


def silence(root: Path, label: str, count: int = 5) -> None:
    (root / label).mkdir(parents=True)
    for number in range(count):
        with wave.open(str(root / label / f"{number}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(16000)
            file.writeframes(bytes(2 * (16000 + 10 * number + len(label))))


@pytest.mark.slow("the voice encoder on real speech")
def test_learns_from_real_voices_and_is_used_everywhere(
    tmp_path: Path, shared_media: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(shared_media.parent / "data" / "ravdess-speech-16k.zip") as archive:
        for name in archive.namelist():
            _, _, emotion, strength, words, again, *actor = PurePosixPath(name).stem.split("-")
            if actor and actor[0] in PEOPLE and emotion in NAMES and strength == STRONG:
                place = Path("mine", f"person {actor[0]}", NAMES[emotion], f"{words}{again}.flac")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(archive.read(name))
    Path("mine", "person 01", "low", "broken.flac").write_bytes(b"no sound")
    assert verb("train", "speech", "--data", "mine") == 0
    said = " ".join(capfd.readouterr().out.split())
    assert "4 people, each judged by what the others taught" in said
    assert "1 file left out: unreadable" in said
    assert "of 32 sounds in 2 classes: cross, low" in said
    card = checkpoint.read_card(Path("mine.safetensors"))
    assert card.labels == ["cross", "low"]
    assert card.metrics["uar"] > 0.65  # chance: 0.5
    assert card.metrics["windows_uar"] > 0.6
    assert sorted(name for fold in card.config["tested_apart"] for name in fold) == [f"person {n}" for n in PEOPLE]

    assert SpeechModel.load(Path("mine.safetensors")).labels == ("cross", "low")
    sound = str(next(Path("mine", "person 02", "cross").iterdir()))
    assert verb("predict", "--audio", sound, "--weights", "mine.safetensors", "--json") == 0
    assert set(json.loads(capfd.readouterr().out)["voice"]["probabilities"]) == {"cross", "low"}

    graph = Path("own.toml")
    graph.write_text(
        f'[pipeline]\nmode = "replay"\n[stages.capture]\nuse = "file-capture"\nuri = "{sound}"\n'
        '[stages.windows]\nuse = "speech-windows"\ninputs.audio = "capture.audio"\n'
        '[stages.own]\nuse = "speech-inference"\ninputs.windows = "windows.windows"\nweights = "mine.safetensors"\n'
        '[stages.fusion]\nuse = "fusion"\ninputs.speech = "own.emotions"\n'
        '[stages.results]\nuse = "jsonl"\ninputs.emotions = "fusion.emotions"\npath = "results.jsonl"\n'
    )
    assert verb("run", str(graph)) == 0
    results = [json.loads(line) for line in Path("results.jsonl").read_text().splitlines()]
    heard = [each["voice"] for each in results if each["voice"]]
    assert heard
    assert all(set(each["probabilities"]) == {"cross", "low"} for each in heard)


def test_what_cannot_be_learnt_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    silence(Path("s"), "a")
    silence(Path("s"), "bb")
    assert main(["train", "speech", "--data", "s"]) == 2
    error = capfd.readouterr().err
    assert "s: no file of 10 is left: nobody speaks, or unreadable" in error
    assert "Traceback" not in error
    assert not Path("s.safetensors").exists()
    assert main(["train", "speech", "--data", "s", "--resume"]) == 2
    assert "--resume: fine-tuning takes" in capfd.readouterr().err
    assert main(["train", "speech", "--data", "s", "--out", str(checkpoint.WEIGHTS_DIR / "speech.safetensors")]) == 2
    assert "emopipe's own weights" in capfd.readouterr().err
    shutil.copy(checkpoint.WEIGHTS_DIR / "facial.safetensors", "s.safetensors")
    assert main(["train", "speech", "--data", "s"]) == 2
    assert "--out s.safetensors: there are facial weights in it; give these another name" in capfd.readouterr().err
    assert checkpoint.read_card(Path("s.safetensors")).task == "facial"


def test_people_are_for_folders_of_ones_own(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    corpus = tmp_path / "Actor_01"
    corpus.mkdir()
    (corpus / "03-01-05-02-01-01-01.wav").write_bytes(b"")
    assert not is_own_voices(tmp_path)
    assert main(["train", "speech", "--data", str(tmp_path), "--people", "who.csv"]) == 2
    assert "--people who.csv: " in capfd.readouterr().err


@pytest.mark.parametrize("place", ["a.wav", "deep/er/than/a.wav"])
def test_sounds_in_no_class_are_no_folder_of_ones_own(tmp_path: Path, place: str) -> None:
    (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / place).write_bytes(b"")
    assert not is_own_voices(tmp_path)
    (tmp_path / place).unlink()
    (tmp_path / "cross").mkdir()
    (tmp_path / "cross" / "a.wav").write_bytes(b"")
    assert is_own_voices(tmp_path)
