"""Graphs with recorded messages: what is recorded, and what of a graph is run again on that."""

from pathlib import Path
from typing import Any

import pytest

from emopipe.graphs.messages import record_table, recordable, recordings_table, replay_messages_table, upstream
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.load import load_graph, read_table
from tests.support.paths import ROOT
from tests.support.recordings import everything, write_recording

GRAPH = ROOT / "pipeline.toml"
INFERRED = ["facial.emotions", "speech.emotions"]


def rerun(channels: list[str], outs: list[str], table: dict[str, Any] | None = None) -> dict[str, Any]:
    paths = [Path(out) for out in outs]
    found, left_out = replay_messages_table(table or read_table(GRAPH), "x.mcap", channels, paths, realtime=False)
    assert left_out == []
    return found["stages"]


def test_recorded_messages_are_no_film_for_elan_to_open() -> None:
    assert rerun(["fusion.emotions"], ["x.eaf"])["out0"]["media"] == []


def test_pictures_and_sound_are_recorded_only_where_they_are_named() -> None:
    assert recordable(load_graph(GRAPH)) == (
        ["facial.emotions", "speech.emotions", "fusion.emotions"],
        ["capture.video", "capture.audio", "faces.faces", "windows.windows"],
    )


def test_a_recorder_has_an_input_for_each_output() -> None:
    table = record_table(read_table(GRAPH), ["speech.emotions", "capture.video", "speech.emotions"], Path("x.mcap"))
    assert table["stages"]["recording"] == {
        "use": "mcap",
        "path": "x.mcap",
        "inputs": {"speech.emotions": "speech.emotions", "capture.video": "capture.video"},
    }
    with pytest.raises(EmopipeError, match="has a stage recording already"):
        record_table(table, ["speech.emotions"], Path("x.mcap"))


def test_what_sent_the_messages_is_left_out_and_what_takes_them_is_run() -> None:
    stages = rerun([*INFERRED, "fusion.emotions"], ["r.jsonl"])
    assert list(stages) == ["fusion", "out0", "messages"]
    assert stages["fusion"]["inputs"] == {"faces": "messages.facial.emotions", "speech": "messages.speech.emotions"}
    assert stages["out0"]["inputs"] == {"emotions": "fusion.emotions"}
    assert stages["messages"] == {"use": "messages", "path": "x.mcap", "realtime": False}


def test_no_more_is_played_than_must_be() -> None:
    stages = rerun(["faces.faces", "windows.windows", *INFERRED], ["r.jsonl"])
    assert set(stages) == {"facial", "speech", "fusion", "out0", "messages"}
    assert stages["facial"]["inputs"] == {"faces": "messages.faces.faces"}


def test_results_that_cannot_be_made_are_played() -> None:
    stages = rerun(["speech.emotions", "fusion.emotions"], ["r.jsonl"])
    assert list(stages) == ["out0", "messages"]
    assert stages["out0"]["inputs"] == {"emotions": "messages.fusion.emotions"}


def test_what_was_not_recorded_is_named() -> None:
    with pytest.raises(EmopipeError) as caught:
        rerun(["speech.emotions"], ["r.jsonl"])
    assert str(caught.value) == (
        "x.mcap: has no channel fusion.emotions, which --out r.jsonl needs, and fusion cannot be run on what is there; "
        "record fusion.emotions, or what it is made of"
    )
    with pytest.raises(EmopipeError, match=r"has no channel capture.video, which --out r.mp4 needs"):
        rerun(INFERRED, ["r.mp4"])


def test_sinks_of_the_graph_that_cannot_be_fed_are_left_out_and_said() -> None:
    table = read_table(ROOT / "configs" / "record.toml")
    found, left_out = replay_messages_table(table, "x.mcap", INFERRED, [Path("r.jsonl")], realtime=True)
    assert left_out == ["film", "report"]
    assert set(found["stages"]) == {"fusion", "jsonl", "out0", "messages"}
    assert found["pipeline"]["mode"] == "replay"
    assert found["stages"]["messages"]["realtime"] is True


def test_a_cycle_is_left_to_those_who_check_graphs() -> None:
    stages = {"a": {"inputs": {"x": "b.x"}}, "b": {"inputs": {"x": ["a.x"]}}, "c": {"inputs": {"x": "a.x"}}}
    found, left_out = replay_messages_table({"stages": stages}, "x.mcap", [], [], realtime=False)
    assert (list(found["stages"]), left_out) == (["messages"], ["c"])


def test_files_of_messages_are_known_by_their_names_and_come_alone(tmp_path: Path) -> None:
    path = write_recording(tmp_path / "x.mcap", {"fusion.emotions": everything()})
    table, _ = recordings_table(read_table(GRAPH), [str(path)], [Path("r.jsonl")], realtime=False)
    assert set(table["stages"]) == {"out0", "messages"}
    with pytest.raises(EmopipeError, match="one file at a time"):
        recordings_table(read_table(GRAPH), [str(path), "clip.mp4"], [], realtime=False)
    with pytest.raises(EmopipeError, match="a stage messages already"):
        recordings_table({"stages": table["stages"]}, [str(path)], [], realtime=False)


def test_upstream_follows_every_input() -> None:
    stages = {
        "a": {},
        "b": {},
        "c": {"inputs": {"x": ["a.x", "b.x"]}},
        "d": {"inputs": {"x": "c.x", "y": 7}},
        "e": {"inputs": "wrong"},
        "f": {"inputs": {"x": "nowhere.x"}},
    }
    assert list(upstream(stages, ["d"])) == ["a", "b", "c", "d"]
    assert list(upstream(stages, ["e", "f", "gone"])) == ["e", "f"]
