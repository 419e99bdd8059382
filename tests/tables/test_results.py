"""The table at the end of a replay: segments of one emotion, and what each comes to."""

from pathlib import Path

import msgspec
import pytest

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.message import Message
from emopipe.stages.sinks.records import record
from emopipe.tables.results import print_moments, print_summary
from tests.support.factories import result


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "160")


def rows(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if line.startswith("│")]


def moments(stream: str = "a") -> list[Message]:
    found = [
        result(n * SECOND // 10, {0: "happy" if n < 5 else "sad"}, stream=stream, duration=SECOND // 10)
        for n in range(10)
    ]
    found[3].payload.faces[0].uncertain = True
    spoken = result(SECOND, {0: "sad"}, "fear", stream=stream, duration=SECOND // 10)
    spoken.payload.source = "face"
    spoken.payload.voice.start, spoken.payload.voice.end = 0, SECOND
    return [*found, spoken, result(9 * SECOND, None, "angry", stream=stream, duration=SECOND // 2)]


def test_who_what_how_sure_and_whether_it_is_uncertain(capsys: pytest.CaptureFixture[str]) -> None:
    found = moments()
    found[-1].payload.voice.start, found[-1].payload.voice.end = 6 * SECOND, 9 * SECOND
    print_moments(map(record, found))
    said = capsys.readouterr().out
    assert rows(said) == [
        ["face 0", "0.00", "0.30", "happy", "70 %", ""],
        ["voice", "0.00", "1.00", "fear", "70 %", ""],
        ["face 0", "0.30", "0.40", "happy", "70 %", "uncertain"],
        ["face 0", "0.40", "0.50", "happy", "70 %", ""],
        ["face 0", "0.50", "1.00", "sad", "70 %", ""],
        ["face 0 + voice", "1.00", "1.10", "sad", "70 %", ""],
        ["voice", "8.50", "9.00", "angry", "70 %", ""],
    ]
    assert "a: Face 0 mostly expresses sad, 55 % of 1.1 s; 9 % is uncertain." in said
    assert "a: The voice mostly expresses fear, 67 % of 1.5 s." in said


def test_names_of_recordings_are_only_text(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["clip [anna]", "clip [bea]", "clip\x1b[2J"]
    lines = [msgspec.json.encode(record(message)) for name in names for message in moments(name)]
    (tmp_path / "results.jsonl").write_bytes(b"\n".join(lines))
    print_summary(tmp_path / "results.jsonl")
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if line.startswith("clip") and ":" not in line] == [
        "clip [anna]",
        "clip [bea]",
        r"clip\x1b[2J",
    ]
    assert len(rows(said)) == 3 * 7
    assert "\x1b" not in said


def test_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    print_moments([record(result(0))])
    assert capsys.readouterr() == ("", "no face and no voice found\n")


def test_a_stream_that_begins_anew_has_other_faces(capsys: pytest.CaptureFixture[str]) -> None:
    print_moments(
        map(record, [result(5 * SECOND, {0: "sad"}, duration=SECOND), result(0, {0: "sad"}, duration=SECOND)])
    )
    assert [row[:3] for row in rows(capsys.readouterr().out)] == [
        ["face 0", "5.00", "6.00"],
        ["face 0 (part 2)", "6.00", "7.00"],
    ]
