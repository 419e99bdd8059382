"""Results as a table."""

import csv
import math
from pathlib import Path
from typing import Any

import pytest

from emopipe.models.labels import FACE
from emopipe.pipeline.clock import MS
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.testing import gap, run_stage
from emopipe.stages.sinks.csv import CsvTable
from emopipe.stages.sinks.table import COLUMNS, GEOMETRY, OPENFACE
from tests.support.factories import make_geometry, result


def table(path: Path, *messages: object, **settings: Any) -> list[dict[str, str]]:
    stage = CsvTable(CsvTable.Settings(path=str(path), **settings))
    run_stage(stage, [("emotions", message) for message in messages])  # type: ignore[misc]
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_for_each_face(tmp_path: Path) -> None:
    first, second = table(tmp_path / "out.csv", result(1_500 * MS, {1: "happy", 4: "sad"}, "angry", stream="cam"))
    assert list(first) == list(COLUMNS)
    assert (first["stream"], first["time_s"], first["pts_ns"]) == ("cam", "1.5", "1500000000")
    assert (first["source"], first["forced"]) == ("face", "false")
    assert (first["face"], first["emotion"], first["confidence"]) == ("1", "happy", "0.7")
    assert first["uncertain"] == "false"
    assert [first[side] for side in ("left", "top", "width", "height")] == ["0.25", "0.125", "0.5", "0.5"]
    assert {label: first[label] for label in FACE} == {label: "0.7" if label == "happy" else "0.05" for label in FACE}
    assert first["who"] == "face 1 + voice"
    assert (first["face_emotion"], first["face_confidence"], first["face_uncertain"]) == ("happy", "0.7", "false")
    assert first["speaking"] == "0.75"
    assert (first["voice_emotion"], first["voice_confidence"], first["voice_uncertain"]) == ("angry", "0.7", "false")
    assert (first["voice_start_s"], first["voice_end_s"], first["voice_age_s"]) == ("0.0", "3.0", "0.04")
    assert (second["face"], second["emotion"]) == ("4", "sad")
    assert second["pts_ns"] == first["pts_ns"]


def test_a_row_for_a_voice_and_for_a_frame_without_a_face(tmp_path: Path) -> None:
    voice, empty = table(tmp_path / "out.csv", result(0, None, "fear", forced=True), gap(10, 20), result(40 * MS))
    assert (voice["source"], voice["face"], voice["left"], voice["forced"]) == ("voice", "", "", "true")
    assert (voice["who"], voice["voice_emotion"], voice["face_emotion"]) == ("voice", "fear", "")
    assert (voice["emotion"], voice["fear"], voice["voice_end_s"]) == ("fear", "0.7", "3.0")
    filled = {column for column, value in empty.items() if value != ""}
    assert filled == {"stream", "time_s", "pts_ns", "duration_ns", "source", "forced"}


def test_a_row_says_that_it_is_uncertain(tmp_path: Path) -> None:
    unsure = result(0, {1: "happy", 2: "sad"})
    unsure.payload.faces[0].uncertain = True
    assert [row["uncertain"] for row in table(tmp_path / "out.csv", unsure)] == ["true", "false"]


def test_the_header_is_there_even_without_results(tmp_path: Path) -> None:
    assert table(tmp_path / "out.csv") == []
    assert (tmp_path / "out.csv").read_text() == ",".join(COLUMNS) + "\n"


def test_names_that_need_quotes(tmp_path: Path) -> None:
    name = 'a "b", c'
    assert table(tmp_path / "out.csv", result(0, {1: "happy"}, stream=name))[0]["stream"] == name


@pytest.mark.parametrize("name", ["=HYPERLINK(1)", "+1", "-1", "@a", "\t=1", "'=1"])
def test_no_spreadsheet_computes_a_name(tmp_path: Path, name: str) -> None:
    (row,) = table(tmp_path / "out.csv", result(0, {1: "happy"}, stream=name))
    assert row["stream"] == f"'{name}"


def test_counts_and_wrong_paths(tmp_path: Path) -> None:
    stage = CsvTable(CsvTable.Settings(path=str(tmp_path / "out.csv")))
    run_stage(stage, [("emotions", result(0, {1: "happy"})), ("emotions", gap(1, 7)), ("emotions", result(2))])
    assert stage.counters == {"frames_with_face": 1, "frames_without_face": 1, "forced": 0, "silent_ns": 7}
    assert stage.settings.writes() == [str(tmp_path / "out.csv")]
    assert stage.settings.check() == []
    wrong = CsvTable.Settings(path=str(tmp_path))
    assert [key for key, _ in wrong.check()] == ["path"]
    with pytest.raises(EmopipeError, match="is a directory"):
        run_stage(CsvTable(wrong))


def test_the_geometry_of_faces_has_columns_where_asked(tmp_path: Path) -> None:
    sent = result(0, {1: "happy", 2: "sad"})
    sent.payload.faces[0].geometry = make_geometry(yaw=12.5, mouth=0.25, blinks=3)
    assert list(table(tmp_path / "out.csv", sent)[0]) == list(COLUMNS)
    one, other = table(tmp_path / "out.csv", sent, geometry=True)
    assert list(one) == [*COLUMNS, *GEOMETRY]
    assert (one["head_yaw_deg"], one["mouth_open"], one["blinks"], one["smile"]) == ("12.5", "0.25", "3", "0.0")
    assert one["geometry_uncertain"] == "false"
    assert {other[column] for column in GEOMETRY} == {""}


def test_the_columns_of_openface_have_its_units_and_signs(tmp_path: Path) -> None:
    sent = result(1_500 * MS, {1: "happy", 2: "sad", 3: "sad"}, "angry", stream="cam")
    sent.payload.faces[0].geometry = make_geometry(yaw=30, gaze_yaw=10, gaze_pitch=20)
    sent.payload.faces[1].geometry = make_geometry(pitch=20, roll=10, uncertain=True)
    rows = table(tmp_path / "out.csv", sent, result(0, None, "fear"), result(40 * MS), columns="openface")
    assert list(rows[0]) == list(OPENFACE)
    assert [(row["timestamp"], row["face_id"], row["success"], row["stream"]) for row in rows] == [
        *(("1.5", "1", "1", "cam"), ("1.5", "2", "0", "cam"), ("1.5", "3", "0", "cam"))
    ]
    first, second, third = rows
    assert float(first["pose_Ry"]) == pytest.approx(-math.radians(30), abs=1e-6)  # to the picture's left is positive
    assert (float(first["pose_Rx"]), float(first["pose_Rz"])) == pytest.approx((0, 0), abs=1e-6)
    assert float(first["gaze_angle_x"]) == pytest.approx(math.radians(10), abs=1e-6)
    assert float(first["gaze_angle_y"]) == pytest.approx(-math.radians(20), abs=1e-6)  # downwards is positive
    assert float(second["pose_Rx"]) == pytest.approx(-math.radians(20), abs=1e-6)
    assert float(second["pose_Rz"]) == pytest.approx(math.radians(10), abs=1e-6)
    assert third["pose_Rx"] == ""


@pytest.mark.parametrize("settings", [{"derived": True}, {"labels": ["awe", "boredom"]}])
def test_openface_has_no_column_of_ours(tmp_path: Path, settings: dict[str, Any]) -> None:
    (problem,) = CsvTable.Settings(path=str(tmp_path / "x.csv"), columns="openface", **settings).check()
    assert (problem.key, problem.text) == (*settings, 'columns = "openface" has none of these; leave it out')
