"""Layouts: which stages share a process, chosen by what they take, by what travels, and by the number of cores."""

from pathlib import Path
from typing import Any

import pytest

from emopipe.graphs.replay import keep_results, replay_table
from emopipe.pipeline.errors import GraphError
from emopipe.pipeline.graph import load
from emopipe.pipeline.graph.load import Graph, graph_from_table, load_graph, read_table
from emopipe.pipeline.graph.process_layout import cores, explain
from emopipe.stages.capture.file import FileCapture
from emopipe.stages.fusion.stage import Fusion
from tests.support.media import every, make
from tests.support.paths import ROOT

PICTURES = ["capture", "faces"]
REST = ["facial", "windows", "speech", "fusion", "console"]
PATTERN = {"use": "test-pattern"}


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Pretend to have so many cores."""
    return lambda number: monkeypatch.setattr(load, "cores", lambda: number)


def default_graph(*overrides: str) -> Graph:
    return load_graph(ROOT / "pipeline.toml", ["pipeline.layout=auto", *overrides])


def groups(graph: Graph) -> list[list[str]]:
    return list(graph.processes.values())


def many_cameras(count: int) -> Graph:
    """The default graph with so many sources, each of which decodes."""
    table = read_table(ROOT / "pipeline.toml")
    stages = table["stages"]
    del stages["capture"]
    names = [f"camera{number}" for number in range(count)]
    stages["faces"]["inputs"]["video"] = [f"{name}.video" for name in names]
    stages["windows"]["inputs"]["audio"] = [f"{name}.audio" for name in names]
    stages.update((name, PATTERN) for name in names)
    table["pipeline"] = {"mode": "live", "layout": "auto"}
    return graph_from_table(table, "many.toml")


@pytest.mark.parametrize(
    ("number", "expected"),
    [(1, [PICTURES + REST]), (2, [PICTURES, REST]), (4, [PICTURES, REST]), (16, [PICTURES, REST])],
)
def test_pictures_stay_inside_and_the_work_spreads_over_the_cores(number: int, expected: object, on: Any) -> None:
    on(number)
    assert groups(default_graph()) == expected


def test_many_streams_spread_as_far_as_there_are_cores(on: Any) -> None:
    processes = []
    for number in (1, 2, 4, 16):
        on(number)
        graph = many_cameras(8)
        assert sorted(name for names in groups(graph) for name in names) == sorted(graph.stages)
        processes.append(len(graph.processes))
    assert processes[0] == 1
    assert processes == sorted(processes)
    assert processes[-1] > processes[1]
    # Eight cameras and the detector of all take more than one process can give, so that some pictures have to travel.
    (detecting,) = (names for names in groups(graph) if "faces" in names)
    assert len([name for name in detecting if name.startswith("camera")]) < 8


def test_the_same_graph_gets_the_same_processes_in_whatever_order_it_is_written(on: Any) -> None:
    on(2)
    table = read_table(ROOT / "pipeline.toml")
    table["pipeline"]["layout"] = "auto"
    table["stages"] = dict(reversed(table["stages"].items()))
    found = {frozenset(names) for names in groups(graph_from_table(table, "reversed.toml"))}
    assert found == {frozenset(PICTURES), frozenset(REST)}


def test_a_graph_that_says_nothing_has_a_process_a_stage() -> None:
    table = read_table(ROOT / "pipeline.toml")
    table["pipeline"].pop("layout", None)
    graph = graph_from_table(table, "plain.toml")
    assert groups(graph) == [[name] for name in graph.stages]


@pytest.mark.parametrize("stages", [{}, {"faces": {"use": "no-such-stage"}}])
def test_a_graph_of_no_known_stage_is_refused_as_in_every_layout(stages: dict[str, Any]) -> None:
    said = []
    for layout in ("auto", "stages"):
        with pytest.raises(GraphError) as refused:
            graph_from_table({"pipeline": {"layout": layout}, "stages": stages}, "empty.toml")
        said.append(str(refused.value))
    assert said[0] == said[1]


def test_what_a_graph_says_of_a_stage_holds(on: Any) -> None:
    on(1)
    graph = default_graph("stages.windows.process=voice", "stages.speech.process=voice")
    assert graph.processes["voice"] == ["windows", "speech"]
    assert groups(graph) == [["capture", "faces", "facial", "fusion", "console"], ["windows", "speech"]]
    supervised = default_graph("stages.facial.supervision.max_memory=2000")  # its limit is not for others
    assert groups(supervised) == [[*PICTURES, *REST[1:]], ["facial"]]


def test_who_serves_an_address_together_is_put_together(on: Any) -> None:
    on(16)
    table = read_table(ROOT / "configs" / "webrtc.toml")
    table["pipeline"]["layout"] = "auto"
    for stage in table["stages"].values():
        stage.pop("process", None)
    graph = graph_from_table(table, "webrtc.toml")
    serving = [name for name, spec in graph.stages.items() if spec.settings.serves()]
    assert len(serving) == 2
    assert len({graph.stages[name].process for name in serving}) == 1
    with pytest.raises(GraphError, match="in another process"):
        graph_from_table(table | {"pipeline": {"mode": "live"}}, "webrtc.toml")


def test_a_cycle_and_a_stage_that_is_not_there_are_still_told(on: Any) -> None:
    on(2)
    with pytest.raises(GraphError, match="cycle: fusion → fusion") as caught:
        default_graph("stages.fusion.inputs.faces=fusion.emotions", "stages.faces.inputs.video=gone.video")
    assert 'no stage "gone"' in str(caught.value)


def test_it_is_said_what_was_chosen_and_why(on: Any) -> None:
    on(2)
    assert explain(default_graph(), 2) == [
        "layout for 2 cores: 2 processes",
        "  capture: capture, faces (67 % of the work; inside stays capture.video)",
        "  facial: facial, windows, speech, fusion, console (33 % of the work)",
    ]


def test_a_replay_is_laid_out_with_its_outputs(on: Any, tmp_path: Path) -> None:
    on(2)
    table = read_table(ROOT / "pipeline.toml")
    table["pipeline"]["layout"] = "auto"
    assert keep_results(table, tmp_path / "results.jsonl")
    assert groups(graph_from_table(table, "kept.toml")) == [PICTURES, [*REST, "console-results"]]
    clip = make(tmp_path / "clip.mp4", pictures=every(25, 0.2))
    replay = replay_table(table, [str(clip)], [tmp_path / "out.jsonl"], realtime=False)
    graph = graph_from_table(replay, "replay.toml")
    assert graph.stages["capture"].cls is FileCapture
    assert groups(graph) == [PICTURES, [*REST[:-1], "console-results", "out0"]]
    # To encode a film is most of the work: its pictures travel where a core is left for it.
    replay = replay_table(read_table(ROOT / "pipeline.toml"), [str(clip)], [tmp_path / "out.mp4"], realtime=False)
    replay["pipeline"]["layout"] = "auto"
    on(4)
    assert ["out0"] in groups(graph_from_table(replay, "film.toml"))


class Tireless(Fusion):
    work_ms = -1.0


def test_work_is_a_number() -> None:
    with pytest.raises(GraphError, match=r"stages.fusion.use: .*`work_ms` must be a number, 0 or more, not -1"):
        default_graph("stages.fusion.use=tests.pipeline.graph.test_process_layout:Tireless")


def test_at_least_one_core_is_found() -> None:
    assert cores() >= 1
