"""`emopipe inspect`: stages as their code declares them, in the terminal and as the reference page."""

import json
import sys
from pathlib import Path

import pytest

from emopipe.pipeline.errors import EmopipeError, GraphError
from emopipe.pipeline.graph.registry import built_in
from emopipe.tables import stages as reference
from tests.support import stages
from tests.support.paths import ROOT
from tests.support.verbs import verb


@pytest.fixture(autouse=True)
def wide_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def lines_of(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What was printed, with runs of spaces as one."""
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_a_stage_shows_ports_payloads_and_settings(capsys: pytest.CaptureFixture[str]) -> None:
    assert verb("inspect", "tests.support.stages:Look") == 0
    lines = lines_of(capsys)
    assert lines[:2] == ["look", "Judges pictures."]
    assert "video Image pictures 4, drop-oldest" in lines
    assert "scores Score one for each picture" in lines
    assert "Image width: int" in lines
    assert "Score value: float" in lines
    assert "min_confidence number 0.5 0 … 1 what counts" in lines
    assert 'method "exact" or "fast" "fast" how' in lines


def test_the_least_latency_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    verb("inspect", "tests.support.stages:Listen")
    assert "Least latency with the defaults: 3 s" in lines_of(capsys)


def test_a_stage_without_settings_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    verb("inspect", "tests.support.stages:Mix")
    lines = lines_of(capsys)
    assert "It has no settings." in lines
    assert "left Score one (optional) 16, block" in lines


def test_one_stage_as_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    assert verb("inspect", "tests.support.stages:Show", "--markdown") == 0
    assert capsys.readouterr().out == (
        "## show\n\n"
        "Shows judgements, and may bind an address.\n\n"
        "| input | type | meaning | queue in live mode |\n|---|---|---|---|\n"
        "| `scores` | [Score](#score) | to show | 16, block |\n\n"
        "| setting | type | unit | default | range | meaning |\n|---|---|---|---|---|---|\n"
        '| `endpoint` | text |  | `""` |  | where to |\n'
        "| `labels` | list of texts |  | `[]` |  | what to show |\n"
    )


@pytest.mark.parametrize("use", ["no-such-stage", "no_such_module:Stage", "tests.support.stages:helper"])
def test_an_unknown_stage_is_an_error_of_the_user(use: str) -> None:
    with pytest.raises(GraphError):
        verb("inspect", use)


def test_a_module_in_the_current_folder_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path[:])
    (tmp_path / "my_listener.py").write_text(
        'from tests.support.stages import Listen\n\nclass Mine(Listen):\n    """My own."""\n    name = "mine"\n'
    )
    assert verb("inspect", "my_listener:Mine") == 0
    assert lines_of(capsys)[:2] == ["mine", "My own."]


def test_types_of_fields_are_named_for_readers_in_any_language() -> None:
    kinds = {field: kind for name in ("VideoFrame", "FaceEmotion", "Emotions") for field, kind in types_of(name)}
    assert kinds["luma"] == "uint8 array"
    assert kinds["box"] == "(float, float, float, float)"
    assert kinds["probabilities"] == "list[float]"
    assert kinds["voice"] == "Voice or none"
    assert kinds["faces"] == "list[PersonEmotion]"


def types_of(payload: str) -> list[list[str]]:
    stages, _ = built_in()
    ports = [port for cls in stages.values() for port in (*cls.inputs.values(), *cls.outputs.values())]
    return reference.field_rows(reference.payload_types(ports)[payload])


def test_a_payload_comes_with_all_that_it_holds() -> None:
    assert list(reference.payload_types(stages.Camera.outputs.values())) == ["Image", "Sound"]


def test_a_stage_that_cannot_be_loaded_is_listed_with_the_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        "emopipe.commands.setup.inspect.built_in", lambda: ({"look": stages.Look}, {"torn": "it is torn"})
    )
    assert verb("inspect") == 1
    lines = lines_of(capsys)
    assert "look video → scores Judges pictures." in lines
    assert "torn cannot be loaded: it is torn" in lines
    with pytest.raises(EmopipeError, match='stage "torn": it is torn'):
        verb("inspect", "--markdown")


def test_every_built_in_stage_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert verb("inspect") == 0
    listed = capsys.readouterr().out
    for name in (
        "file-capture", "test-pattern", "face-detection", "speech-windows", "facial-inference", "speech-inference",
        "fusion", "console", "jsonl", "csv", "publish",
    ):  # fmt: skip
        assert f" {name} " in listed


def test_the_reference_page_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    verb("inspect", "--markdown")
    page = (ROOT / "docs" / "stages.md").read_text(encoding="utf-8")
    assert page == capsys.readouterr().out, "make it anew: emopipe inspect --markdown > docs/stages.md"


def test_the_schema_is_json_and_knows_every_stage(capsys: pytest.CaptureFixture[str]) -> None:
    assert verb("inspect", "--schema") == 0
    schema = json.loads(capsys.readouterr().out)
    assert {f"stage-{name}" for name in built_in()[0]} <= schema["definitions"].keys()
    assert verb("inspect", "tests.support.stages:Look", "--schema") == 0
    assert "stage-tests.support.stages:Look" in json.loads(capsys.readouterr().out)["definitions"]
