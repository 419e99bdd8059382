"""emopipe replay: what its arguments' mistakes are called."""

from pathlib import Path

import pytest

from emopipe.__main__ import main
from emopipe.pipeline.graph.load import Graph
from emopipe.pipeline.report import Report
from emopipe.pipeline.runtime.result import RunResult
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
    assert f"emopipe: {clip} is not a recording or picture that FFmpeg can read" in errors(capsys, clip, "--out", old)
    assert old.read_text() == "precious\n"


def test_a_result_file_must_be_of_a_known_kind(capsys: pytest.CaptureFixture[str], clip: Path) -> None:
    assert errors(capsys, clip, "--out", "x.txt") == (
        "emopipe: --out x.txt: expected a name that ends in "
        ".jsonl, .csv, .parquet, .eaf, .TextGrid, .srt, .vtt, .mp4 or .html\n"
    )


def test_a_result_file_that_cannot_be(capsys: pytest.CaptureFixture[str], clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "no" / "x.jsonl"
    assert f"--out {out}: the directory {out.parent} does not exist" in errors(capsys, clip, "--out", out)


def test_a_result_file_given_twice(capsys: pytest.CaptureFixture[str], clip: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.csv"
    said = errors(capsys, clip, "--out", out, "--out", out)
    assert f"is taken by --out {out} already" in said


def test_a_recording_is_never_overwritten(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    recording = tmp_path / "me.mp4"  # a film's sound is copied from it, which is no second reader to be named
    recording.write_bytes(b"a recording")
    assert errors(capsys, recording, "--out", recording).count("would overwrite") == 1
    assert recording.read_bytes() == b"a recording"


def test_results_that_vanish_during_the_run_are_told_in_one_sentence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def play(graph: Graph, **options: object) -> RunResult:
        return RunResult({name: Report(stage=name) for name in graph.stages})

    monkeypatch.setattr("emopipe.commands.playing.replay.play", play)
    said = errors(capsys, make(tmp_path / "a.mkv", pictures=every(25, 0.2)))
    assert said.endswith("results.jsonl has vanished meanwhile: there is no summary\n")


def test_recordings_cannot_share_a_film(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    one, two = (make(tmp_path / f"{name}.mkv", pictures=every(25, 0.2)) for name in ("a", "b"))
    assert errors(capsys, one, two, "--out", "film.mp4") == (
        "emopipe: --out film.mp4: 2 recordings need a film each; put {stream} into its name, "
        "which stands for the recording's: film-{stream}.mp4\n"
    )


@pytest.mark.parametrize("suffix", [".eaf", ".TextGrid", ".srt", ".vtt"])
def test_recordings_cannot_share_annotations(capsys: pytest.CaptureFixture[str], tmp_path: Path, suffix: str) -> None:
    one, two = (make(tmp_path / f"{name}.mkv", pictures=every(25, 0.2)) for name in ("a", "b"))
    assert errors(capsys, one, two, "--out", f"x{suffix}") == (
        f"emopipe: --out x{suffix}: 2 recordings need a file each; put {{stream}} into its name, "
        f"which stands for the recording's: x-{{stream}}{suffix}\n"
    )


@pytest.mark.parametrize(
    ("suffix", "library"), [(".eaf", "pympi-ling"), (".TextGrid", "praatio"), (".parquet", "pyarrow")]
)
def test_a_library_that_is_missing_is_named_before_anything_is_touched(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, library: str
) -> None:
    monkeypatch.setattr("emopipe.stages.lab.extra.find_spec", lambda name: None)
    out = tmp_path / f"x{suffix}"
    out.write_text("precious")
    assert errors(capsys, make(tmp_path / "a.mkv", pictures=every(25, 0.2)), "--out", out) == (
        f'emopipe: --out {out}: needs {library}, which is not installed: pip install "emopipe[lab]"\n'
    )
    assert out.read_text() == "precious"


def test_a_recording_is_never_replaced_whatever_its_name(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    clip = make(tmp_path / "a.mp4", pictures=every(25, 0.2))
    linked = tmp_path / "linked.mp4"
    linked.hardlink_to(clip)
    for out in (clip, linked):
        assert "would overwrite" in errors(capsys, clip, "--out", out)


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
