"""Graphs that also measure faces."""

from pathlib import Path
from typing import Any

import pytest

from emopipe.graphs.geometry import with_geometry
from emopipe.graphs.replay import replay_table
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.load import graph_from_table, read_table
from tests.support.paths import ROOT

GRAPH = ROOT / "pipeline.toml"


def replayed(*outs: str) -> dict[str, Any]:
    return replay_table(read_table(GRAPH), ["clip.mp4"], [Path(out) for out in outs], realtime=False)


def test_faces_are_measured_between_detection_and_inference() -> None:
    stages = with_geometry(replayed("x.csv", "x.jsonl"), ["clip.mp4"])["stages"]
    assert stages["geometry"] == {
        "use": "face-geometry",
        "inputs": {"video": "capture.video", "faces": "faces.faces"},
    }
    assert stages["facial"]["inputs"] == {"faces": "geometry.faces"}
    assert stages["out0"]["geometry"] is True
    assert "geometry" not in stages["out1"]


def test_the_graph_so_made_has_nothing_wrong() -> None:
    graph = graph_from_table(with_geometry(read_table(GRAPH), []), GRAPH, [])
    assert list(graph.stages).index("faces") < list(graph.stages).index("geometry")


def test_a_graph_that_measures_already_stays_as_it_is() -> None:
    once = with_geometry(replayed("x.jsonl"), ["clip.mp4"])
    names = list(once["stages"])
    assert list(with_geometry(once, ["clip.mp4"])["stages"]) == names


@pytest.mark.parametrize(
    ("spoilt", "said"),
    [
        (
            {"faces": None, "facial": None},
            "needs a graph with one face-detection, whose faces facial-inference sees; 0",
        ),
        ({"more": {"use": "face-detection", "inputs": {"video": "capture.video"}}}, "2 found: put a stage with use"),
        ({"geometry": {"use": "console"}}, "the graph has a stage geometry already, which is another; rename it"),
    ],
)
def test_a_graph_that_it_does_not_fit_is_refused(spoilt: dict[str, Any], said: str) -> None:
    table = replayed("x.jsonl")
    table["stages"] = {name: stage for name, stage in (table["stages"] | spoilt).items() if stage is not None}
    with pytest.raises(EmopipeError, match=said):
        with_geometry(table, ["clip.mp4"])


def test_recorded_messages_hold_no_pictures_to_measure() -> None:
    with pytest.raises(EmopipeError, match=r"--geometry: x\.mcap holds messages and no pictures to measure"):
        with_geometry(replayed(), ["x.mcap"])
