"""Fine-tuning on pictures of one's own: real faces, classes of any name, people not trained on."""

import csv
import io
import json
import zipfile
from pathlib import Path

import pytest

from emopipe import EmotionPredictor
from emopipe.__main__ import main
from emopipe.models import checkpoint
from emopipe.models.facial.model import FacialModel
from tests.support.emotion_graph import emotion_graph
from tests.support.own_files import noise_pictures
from tests.support.verbs import verb

NAMES = {"happy": "content", "angry": "cross", "surprise": "amazed"}
EACH = 25


@pytest.fixture
def own(tmp_path: Path, shared_media: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures that the shipped network was not trained on, in classes of other names; each shows somebody else."""
    monkeypatch.chdir(tmp_path)
    rows: list[tuple[str, str]] = []
    with zipfile.ZipFile(shared_media.parent / "data" / "rafdb-train.zip") as archive:
        names = sorted(name for name in archive.namelist() if name.endswith("0_aligned.jpg"))
        for label, word in NAMES.items():
            for name in [each for each in names if f"/{label}/" in each][:EACH]:
                place = f"{word}/{len(rows)}.jpg"
                (tmp_path / "mine" / word).mkdir(parents=True, exist_ok=True)
                (tmp_path / "mine" / place).write_bytes(archive.read(name))
                rows.append((place, f"person {len(rows) // 2}"))
    text = io.StringIO()
    csv.writer(text).writerows([("file", "person"), *rows])
    (tmp_path / "people.csv").write_text(text.getvalue())
    return tmp_path / "mine"


@pytest.mark.slow("the face detector on real pictures, and a training")
def test_learns_from_real_faces_and_is_used_everywhere(own: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (own / "cross" / "broken.jpg").write_bytes(b"no picture")
    people = Path("people.csv")
    people.write_text(people.read_text() + "cross/broken.jpg,nobody\n")
    assert verb("train", "facial", "--data", "mine", "--people", "people.csv") == 0
    said = capfd.readouterr()
    assert "wrote mine.safetensors" in said.out
    assert "1 file left out: unreadable" in " ".join(said.out.split())
    card = checkpoint.read_card(Path("mine.safetensors"))
    assert card.labels == ["amazed", "content", "cross"]
    assert card.metrics["uar"] > 0.6  # chance: 0.33
    apart = card.config["tested_apart"]
    assert len(apart) == 5
    assert len({name for fold in apart for name in fold}) == sum(map(len, apart))

    assert FacialModel.load(Path("mine.safetensors"), "cpu").labels == tuple(card.labels)
    picture = next((own / "content").iterdir())
    (face,) = EmotionPredictor(facial=Path("mine.safetensors")).predict_from_file(picture, whole=True).faces or []
    assert set(face.probabilities) == set(card.labels)
    assert verb("predict", "--image", str(picture), "--whole", "--weights", "mine.safetensors", "--json") == 0
    assert json.loads(capfd.readouterr().out)["faces"][0]["emotion"] in card.labels

    assert main(["evaluate", "facial", "--data", "mine", "--weights", "mine.safetensors"]) == 2
    assert "mine.safetensors learnt from everybody in it" in " ".join(capfd.readouterr().err.split())
    graph = Path("own.toml")
    graph.write_text(
        emotion_graph(
            Path("results.jsonl"),
            capture='use = "test-pattern"\nduration = 2.0\nrealtime = false',
            facial='weights = "mine.safetensors"',
        )
    )
    assert verb("run", str(graph)) == 0
    assert "one of your own" in " ".join(capfd.readouterr().err.split())
    results = [json.loads(line) for line in Path("results.jsonl").read_text().splitlines()]
    faces = [face for each in results for face in each["faces"]]
    assert len(faces) > 10
    assert all(set(face["probabilities"]) == set(card.labels) for face in faces)

    counts = '{ content = "happy", cross = "angry", amazed = "surprise" }'
    assert verb("run", str(graph), "--set", f"stages.facial.emotions={counts}") == 0
    results = [json.loads(line) for line in Path("results.jsonl").read_text().splitlines()]
    assert {face["emotion"] for each in results for face in each["faces"]} <= {"happy", "angry", "surprise"}


def test_unknown_people_are_said_and_small_pictures_taken_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    noise_pictures(Path("f", "a"))
    noise_pictures(Path("f", "bb"))
    assert verb("train", "facial", "--data", "f") == 0
    said = " ".join(capfd.readouterr().out.split())
    assert "Nobody knows who is in which picture" in said
    assert "10 faces in 2 classes" in said
    card = checkpoint.read_card(Path("f.safetensors"))
    assert card.config["tested_apart"] == []
    first = Path("f.safetensors").read_bytes()
    assert verb("train", "facial", "--data", "f") == 0
    assert Path("f.safetensors").read_bytes() == first


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--resume"], "--resume: fine-tuning takes a moment"),
        (["--out", "f"], "--out f: a folder"),
        (["--people", "none.csv"], "none.csv: cannot be read"),
        (["--out", str(checkpoint.WEIGHTS_DIR / "facial.safetensors")], "emopipe's own weights"),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    noise_pictures(Path("f", "a"))
    noise_pictures(Path("f", "bb"))
    assert main(["train", "facial", "--data", "f", *options]) == 2
    error = capfd.readouterr().err
    assert said in error
    assert "Traceback" not in error
