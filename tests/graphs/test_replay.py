"""Graphs made for recordings: what becomes of a graph's source, its consoles and its page."""

import copy
from pathlib import Path
from typing import Any

import pytest

from emopipe.graphs.replay import LAYOUT, NOTE, keep_results, replay_table


def test_the_source_becomes_the_recordings_and_consoles_become_files() -> None:
    table: dict[str, Any] = {
        "stages": {
            "cam": {"use": "test-pattern", "process": "p", "fps": 5},
            "fusion": {"use": "fusion", "inputs": {"faces": "cam.video"}},
            "screen": {"use": "console", "inputs": {"emotions": "fusion.emotions"}},
        }
    }
    made = replay_table(table, ["a.mp4"], [Path("x.jsonl"), Path("y.csv")], realtime=True)
    stages = made["stages"]
    assert stages["cam"] == {"use": "file-capture", "uri": ["a.mp4"], "realtime": True, "process": "p"}
    assert "screen" not in stages
    assert [stages[name]["use"] for name in ("out0", "out1")] == ["jsonl", "csv"]
    assert stages["out1"]["inputs"] == {"emotions": "fusion.emotions"}
    assert made["pipeline"]["mode"] == "replay"


def test_a_graph_has_the_last_word_on_its_layout() -> None:
    stages: dict[str, Any] = {"camera": {"use": "camera"}}
    made = replay_table({"pipeline": {"layout": "auto"}, "stages": stages}, ["a.mp4"], [], realtime=False)
    assert made["pipeline"]["layout"] == "auto"
    assert replay_table({"stages": stages}, ["a.mp4"], [], realtime=False)["pipeline"]["layout"] == LAYOUT


def test_a_page_is_added_where_the_graph_has_none() -> None:
    table = {"stages": {"camera": {"use": "camera"}, "shown": {"use": "console", "inputs": {"emotions": "f.emotions"}}}}
    made = replay_table(table, ["a.mp4"], [], realtime=True, page=True)
    page = {"use": "page", "inputs": {"emotions": "f.emotions", "video": "camera.video"}, "viewers": 1}
    assert made["stages"]["page"] == page
    own = {"use": "page", "inputs": {"emotions": "f.emotions"}}
    table = {"stages": {"camera": {"use": "camera"}, "mine": own}}
    assert list(replay_table(table, ["a.mp4"], [], realtime=True, page=True)["stages"]) == ["camera", "mine"]


def test_films_and_reports_see_the_recordings_too() -> None:
    table: dict[str, Any] = {"stages": {"cam": {"use": "camera"}, "screen": {"use": "console", "inputs": 3}}}
    outs = [Path("{stream}-seen.mp4"), Path("all.html")]
    stages = replay_table(table, ["x/a.mp4", "b.mp4"], outs, realtime=False)["stages"]
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
        "notes": [NOTE],
    }


def test_a_file_for_elan_links_the_recordings_and_others_of_the_lab_need_none() -> None:
    table: dict[str, Any] = {"stages": {"cam": {"use": "camera"}, "screen": {"use": "console", "inputs": 3}}}
    outs = [Path("{stream}.eaf"), Path("{stream}.TextGrid"), Path("{stream}.vtt"), Path("all.parquet")]
    stages = replay_table(table, ["x/a.mp4", "b.mp4"], outs, realtime=False)["stages"]
    inputs = {"emotions": "fusion.emotions"}
    assert stages["out0"] == {"use": "eaf", "path": "{stream}.eaf", "inputs": inputs, "media": ["x/a.mp4", "b.mp4"]}
    assert stages["out1"] == {"use": "textgrid", "path": "{stream}.TextGrid", "inputs": inputs}
    assert stages["out2"] == {"use": "subtitles", "path": "{stream}.vtt", "inputs": inputs}
    assert stages["out3"] == {"use": "parquet", "path": "all.parquet", "inputs": inputs}


def test_a_replay_on_a_console_keeps_its_results_too(tmp_path: Path) -> None:
    inputs = {"emotions": "fusion.emotions"}
    stages: dict[str, Any] = {"cam": {"use": "camera"}, "screen": {"use": "console", "inputs": inputs}}
    out = tmp_path / "results.jsonl"
    assert keep_results({"pipeline": {"mode": "replay"}, "stages": stages}, out)
    assert stages["screen-results"] == {"use": "jsonl", "path": str(out), "inputs": inputs, "process": "screen"}


@pytest.mark.parametrize(
    "table",
    [
        {"pipeline": {"mode": "live"}, "stages": {"screen": {"use": "console", "inputs": {}}}},
        {"pipeline": {"mode": "replay"}, "stages": {"cam": {"use": "camera"}}},
        {"pipeline": {"mode": "replay"}, "stages": {"screen": {"use": "console", "inputs": 3}, "none": 3}},
        {"pipeline": 3, "stages": {}},
        {"stages": 3},
    ],
)
def test_all_other_graphs_stay_as_they_are(table: dict[str, Any], tmp_path: Path) -> None:
    before = copy.deepcopy(table)
    assert not keep_results(table, tmp_path / "results.jsonl")
    assert table == before
