"""emopipe replay: what becomes of a graph, what its arguments' mistakes are called, and the table at the end."""

from pathlib import Path
from typing import Any

import pytest

from emopipe.__main__ import main
from emopipe.commands import replay
from emopipe.tables.results import stretches
from tests.support.media import every, make


def errors(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main(["replay", *map(str, arguments)]) == 2
    return capsys.readouterr().err


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"not empty")
    return path


def test_a_missing_recording_is_named_without_the_graph(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert errors(capsys, tmp_path / "none.mp4").startswith(f"emopipe: {tmp_path}/none.mp4: no such file")


def test_what_is_no_recording_is_found_before_anything_starts(
    capsys: pytest.CaptureFixture[str], clip: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old.jsonl"
    old.write_text("precious\n")
    assert f"emopipe: {clip} is not a recording that FFmpeg can read" in errors(capsys, clip, "--out", old)
    assert old.read_text() == "precious\n"


def test_a_result_file_must_be_of_a_known_kind(capsys: pytest.CaptureFixture[str], clip: Path) -> None:
    assert errors(capsys, clip, "--out", "x.txt") == (
        "emopipe: --out x.txt: expected a name that ends in .jsonl, .csv, .mp4 or .html\n"
    )


def test_a_result_file_that_cannot_be(capsys: pytest.CaptureFixture[str], clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "no" / "x.jsonl"
    assert f"--out {out}: the directory {out.parent} does not exist" in errors(capsys, clip, "--out", out)


def test_a_result_file_given_twice(capsys: pytest.CaptureFixture[str], clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.csv"
    said = errors(capsys, clip, "--out", out, "--out", out)
    assert f"is taken by --out {out} already" in said


def test_a_recording_is_never_overwritten(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    recording = tmp_path / "me.csv"
    recording.write_bytes(b"a recording")
    assert "would overwrite" in errors(capsys, recording, "--out", recording)
    assert recording.read_bytes() == b"a recording"


def test_recordings_cannot_share_a_film(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    one, two = (make(tmp_path / f"{name}.mkv", pictures=every(25, 0.2)) for name in ("a", "b"))
    assert errors(capsys, one, two, "--out", "film.mp4") == (
        "emopipe: --out film.mp4: 2 recordings need a film each; put {stream} into its name, "
        "which stands for the recording's: film-{stream}.mp4\n"
    )


def test_a_film_never_overwrites_its_recording(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    clip = make(tmp_path / "a.mp4", pictures=every(25, 0.2))
    assert "would overwrite" in errors(capsys, clip, "--out", clip)
    said = errors(capsys, clip, "--out", tmp_path / "{stream}.mp4")
    assert said == f"emopipe: --out {clip} would overwrite the recording itself; choose another path\n"


def test_what_is_wrong_with_a_recording_is_said_once(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    said = errors(capsys, tmp_path / "none.mp4", "--out", tmp_path / "film.mp4")
    assert said.count("no such file") == 1


@pytest.mark.parametrize("text", ["stages = 3", "[stages]\nx = 1", "pipeline = 2\n[stages.a]\nuse = 'console'", "]["])
def test_a_graph_that_is_none_gives_problems_and_no_traceback(
    text: str, capsys: pytest.CaptureFixture[str], clip: Path, tmp_path: Path
) -> None:
    path = tmp_path / "graph.toml"
    path.write_text(text)
    said = errors(capsys, clip, "--graph", path)
    assert said.startswith("emopipe: ")
    assert "Traceback" not in said


def test_the_source_becomes_the_recordings_and_consoles_become_files() -> None:
    table: dict[str, Any] = {
        "stages": {
            "cam": {"use": "test-pattern", "process": "p", "fps": 5},
            "fusion": {"use": "fusion", "inputs": {"faces": "cam.video"}},
            "screen": {"use": "console", "inputs": {"emotions": "fusion.emotions"}},
        }
    }
    made = replay.replay_table(table, ["a.mp4"], [Path("x.jsonl"), Path("y.csv")], realtime=True)
    stages = made["stages"]
    assert stages["cam"] == {"use": "file-capture", "uri": ["a.mp4"], "realtime": True, "process": "p"}
    assert "screen" not in stages
    assert [stages[name]["use"] for name in ("out0", "out1")] == ["jsonl", "csv"]
    assert stages["out1"]["inputs"] == {"emotions": "fusion.emotions"}
    assert made["pipeline"]["mode"] == "replay"


def test_a_page_is_added_where_the_graph_has_none() -> None:
    table = {"stages": {"camera": {"use": "camera"}, "shown": {"use": "console", "inputs": {"emotions": "f.emotions"}}}}
    made = replay.replay_table(table, ["a.mp4"], [], realtime=True, page=True)
    page = {"use": "page", "inputs": {"emotions": "f.emotions", "video": "camera.video"}, "viewers": 1}
    assert made["stages"]["page"] == page
    own = {"use": "page", "inputs": {"emotions": "f.emotions"}}
    table = {"stages": {"camera": {"use": "camera"}, "mine": own}}
    assert list(replay.replay_table(table, ["a.mp4"], [], realtime=True, page=True)["stages"]) == ["camera", "mine"]


def test_films_and_reports_see_the_recordings_too() -> None:
    table: dict[str, Any] = {"stages": {"cam": {"use": "camera"}, "screen": {"use": "console", "inputs": 3}}}
    outs = [Path("{stream}-seen.mp4"), Path("all.html")]
    stages = replay.replay_table(table, ["x/a.mp4", "b.mp4"], outs, realtime=False)["stages"]
    inputs = {"emotions": "fusion.emotions", "video": "cam.video"}
    assert stages["out0"] == {
        "use": "overlay",
        "path": "{stream}-seen.mp4",
        "inputs": inputs,
        "sound": ["x/a.mp4", "b.mp4"],
    }
    assert stages["out1"] == {
        "use": "report",
        "path": "all.html",
        "inputs": inputs,
        "title": "What was expressed in a.mp4, b.mp4",
        "notes": [replay.REPLAYED],
    }


def record(time: float, faces: list[tuple[int, str]], voice: tuple[str, int, int] | None = None) -> dict[str, Any]:
    second = 1_000_000_000
    return {
        "stream": "s",
        "time": time,
        "duration": second // 10,
        "faces": [{"id": id, "emotion": emotion, "confidence": 0.5} for id, emotion in faces],
        "alone": {"emotion": voice[0], "confidence": 0.4} if voice else None,
        "voice": {"start": voice[1] * second, "end": voice[2] * second} if voice else None,
    }


def test_the_table_holds_stretches_of_one_emotion() -> None:
    records = [record(t / 10, [(0, "happy" if t < 5 else "sad")]) for t in range(10)]
    records += [record(5.0, [], ("angry", 2, 4)), record(6.0, [], ("angry", 3, 5)), record(7.0, [], ("sad", 4, 7))]
    found = [(s.who, s.emotion, round(s.start, 1), round(s.end, 1)) for s in stretches(records)]
    assert sorted(found) == [
        ("face 0", "happy", 0.0, 0.5),
        ("face 0", "sad", 0.5, 1.0),
        ("voice", "angry", 2.0, 5.0),
        ("voice", "sad", 5.0, 7.0),
    ]
