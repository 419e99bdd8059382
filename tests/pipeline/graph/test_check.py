"""What is wrong with a graph: every problem at once, in one line each, and never a traceback."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emopipe.pipeline.errors import GraphError
from emopipe.pipeline.graph.load import Graph, graph_from_table, load_graph
from tests.support.graphs import CAMERA, MIX, SHOW, good
from tests.support.media import every, make
from tests.support.paths import ROOT


def problems(change: Callable[[dict[str, Any]], object]) -> list[str]:
    """What is wrong with the good graph's `stages` after a change."""
    table = good()
    change(table["stages"])
    with pytest.raises(GraphError) as caught:
        graph_from_table(table, "pipeline.toml")
    return str(caught.value).splitlines()


def of_file(tmp_path: Path, content: bytes) -> list[str]:
    path = tmp_path / "pipeline.toml"
    path.write_bytes(content)
    with pytest.raises(GraphError) as caught:
        load_graph(path)
    assert all(line.startswith(f"{path}: ") for line in str(caught.value).splitlines())
    return [line.removeprefix(f"{path}: ") for line in str(caught.value).splitlines()]


def test_a_good_graph_has_no_problems() -> None:
    assert len(graph_from_table(good(), "pipeline.toml").stages) == 5


def test_all_problems_are_told_at_once_in_the_order_of_the_stages() -> None:
    def change(stages: dict[str, Any]) -> None:
        stages["capture"]["fps"] = 0
        stages["faces"]["min_confidence"] = 1.5
        stages["faces"]["methods"] = "fast"
        stages["voice"]["inputs"]["audio"] = "capture.video"
        stages["voice"]["hop"] = 5
        stages["results"]["use"] = "tests.support.stages:Shw"

    assert problems(change) == [
        "pipeline.toml: stages.capture.fps: 0 is not above 0 and at most 240 Hz",
        "pipeline.toml: stages.faces.min_confidence: 1.5 is not between 0 and 1",
        'pipeline.toml: stages.faces.methods: unknown setting; did you mean "method"?',
        "pipeline.toml: stages.voice.inputs.audio: capture.video sends Image, but this input takes Sound; "
        '"capture.audio" would fit',
        "pipeline.toml: stages.voice.hop: is longer than the window",
        'pipeline.toml: stages.results.use: module "tests.support.stages" has no class "Shw"; did you mean "Show"?',
    ]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[stages\n", 'line 1, column 8: not valid TOML: expected \']\' at the end of a table declaration'),
        (b"[stages.a]\nuse = \n", "line 2, column 7: not valid TOML: invalid value"),
        (b"[a]\n[a]\n", "line 2, column 3: not valid TOML: cannot declare ('a',) twice"),
        (b"x = '''abc", "line 1, column 11: not valid TOML: expected \"'''\""),
        (
            b"ok = 1\n\xff\xfe",
            "line 2: this is not UTF-8 text; expected a graph in TOML (`emopipe replay` plays recordings)",
        ),
        (b"x = " + b"[" * 5000, "tables or lists are nested too deeply"),
        (b"x = " + b"9" * 5000, "Exceeds the limit (4300 digits) for integer string conversion"),
        (b"", 'stages: no stages; expected a table for each, such as [stages.capture] with use = "…"'),
        (b"pipeline = 3\n[stages]", "pipeline: expected a table, got 3"),
        (b"stages = 3", "stages: expected a table for each stage, got 3"),
        (b"[stages]\na = 3", 'stages.a: expected a table with use = "…", got 3'),
        (b"[stage.a]\n[stages]", 'stage: unknown table; did you mean "stages"?'),
        (b"[pipeline]\nmod = 1\n[stages]", 'pipeline.mod: unknown setting; did you mean "mode"?'),
        (b"[pipeline]\nmode = 'liv'", 'pipeline.mode: expected "live" or "replay", got "liv"; did you mean "live"?'),
        (b"[pipeline]\nlatency_budget = '1 s'", "pipeline.latency_budget: expected a number of seconds, got "
         '"1 s"'),
    ],
)  # fmt: skip
def test_a_file_that_is_no_graph(tmp_path: Path, content: bytes, problem: str) -> None:
    assert of_file(tmp_path, content)[0].startswith(problem)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path, problem in [
        (tmp_path / "none.toml", "no such file; expected a graph in TOML"),
        (tmp_path, "this is a folder; expected a graph in TOML"),
        (tmp_path / "none" / "none.toml", "no such file; expected a graph in TOML"),
        ("a\0b", "embedded null byte"),
    ]:
        with pytest.raises(GraphError) as caught:
            load_graph(path)
        (only,) = str(caught.value).splitlines()
        assert only.endswith(problem)


@pytest.mark.parametrize(
    ("stage", "key", "value", "problem"),
    [
        ("faces", "use", 3, 'faces.use: expected the name of a stage (`emopipe inspect` lists them) or '
         '"my_package.my_module:MyStage", got 3'),
        ("faces", "inputs", {}, 'faces.inputs.video: nothing feeds this input; "capture.video" would fit'),
        ("faces", "inputs", {"video": []}, 'faces.inputs.video: nothing feeds this input; "capture.video" would fit'),
        ("faces", "inputs", "capture.video", 'faces.inputs: expected inputs.PORT = "stage.output", got '
         '"capture.video"'),
        ("faces", "inputs", {"video": "capture"}, 'faces.inputs.video: expected "stage.output" or a list of such, '
         'got "capture"'),
        ("faces", "inputs", {"video": ["capture.video", 3]}, 'faces.inputs.video: expected "stage.output" or a list '
         "of such, got 3"),
        ("faces", "inputs", {"video": ["capture.video"] * 2}, 'faces.inputs.video: "capture.video" is there twice'),
        ("faces", "inputs", {"video": "captrue.video"}, 'faces.inputs.video: no stage "captrue"; did you mean '
         '"capture"?'),
        ("faces", "inputs", {"video": "capture.pictures"}, "faces.inputs.video: capture (tests.support.stages:Camera) "
         'has no output "pictures"; known are "video" and "audio"'),
        ("faces", "inputs", {"video": "results.x"}, "faces.inputs.video: results (tests.support.stages:Show) has no "
         'output "x"; there are none'),
        ("faces", "inputs", {"video": "voice.scores"}, "faces.inputs.video: voice.scores sends Score, but this input "
         'takes Image; "capture.video" would fit'),
        ("faces", "inputs", {"video": "capture.video", "vdeo": "capture.video"}, 'faces.inputs.vdeo: '
         'tests.support.stages:Look has no input "vdeo"; did you mean "video"?'),
        ("faces", "input", {}, 'faces.input: unknown setting; did you mean "inputs"?'),
        ("capture", "inputs", {"x": "voice.scores"}, 'capture.inputs.x: tests.support.stages:Camera has no input "x"; '
         "there are none"),
        ("fusion", "inputs", {}, "fusion.inputs: nothing feeds fusion; at least one of its inputs is needed: "
         "left, right"),
        ("faces", "queue", 4, "faces.queue: expected queue.PORT = { size = …, policy = … }, got 4"),
        ("faces", "queue", {"vdeo": {}}, 'faces.queue.vdeo: tests.support.stages:Look has no input "vdeo"; did you '
         'mean "video"?'),
        ("faces", "queue", {"video": 4}, "faces.queue.video: expected { size = …, policy = … }, got 4"),
        ("faces", "queue", {"video": {"size": 0}}, "faces.queue.video.size: 0 is not between 1 and 100000 messages"),
        ("faces", "queue", {"video": {"policy": "drop"}}, 'faces.queue.video.policy: expected "block", "drop-newest" '
         'or "drop-oldest", got "drop"'),
        ("faces", "queue", {"video": {"max_age": "1 s"}}, "faces.queue.video.max_age: expected a number of seconds, "
         'got "1 s"'),
        ("faces", "queue", {"video": {"sise": 1}}, 'faces.queue.video.sise: unknown setting; did you mean "size"?'),
        ("faces", "process", "", 'faces.process: expected a name of letters, digits, _ and -, got ""'),
        ("faces", "process", 3, "faces.process: expected a name of letters, digits, _ and -, got 3"),
    ],
)  # fmt: skip
def test_a_wrong_key_is_named(stage: str, key: str, value: Any, problem: str) -> None:
    assert problems(lambda stages: stages[stage].update({key: value})) == [f"pipeline.toml: stages.{problem}"]


def test_a_stage_needs_a_name_that_a_link_can_speak_of() -> None:
    (only,) = problems(lambda stages: stages.update({"my camera": {"use": CAMERA}}))
    assert (
        only == 'pipeline.toml: stages."my camera": a stage\'s name may have letters, digits, _ and - only, 128 at most'
    )


def test_an_output_that_nobody_reads_is_fine() -> None:
    table = good()
    table["stages"]["second"] = {"use": CAMERA}
    assert "second" in graph_from_table(table, "g.toml").stages


def test_an_unknown_stage_is_not_told_again_by_those_it_feeds() -> None:
    (only,) = problems(lambda stages: stages["capture"].update(use="no_such:Camera"))
    assert only.startswith("pipeline.toml: stages.capture.use: ")


def test_each_cycle_is_named() -> None:
    def change(stages: dict[str, Any]) -> None:
        stages["a"] = {"use": MIX, "inputs": {"left": "c.scores", "right": "a.scores"}}
        stages["b"] = {"use": MIX, "inputs": {"left": "a.scores"}}
        stages["c"] = {"use": MIX, "inputs": {"left": "b.scores"}}

    ending = "; a stage cannot wait for its own results"
    assert sorted(problems(change)) == [
        f"pipeline.toml: stages: cycle: a → a{ending}",
        f"pipeline.toml: stages: cycle: a → b → c → a{ending}",
    ]


def test_a_graph_needs_a_source_and_a_sink() -> None:
    def no_source(stages: dict[str, Any]) -> None:
        stages.clear()
        stages["mix"] = {"use": MIX, "inputs": {"left": "mix.scores"}}
        stages["show"] = {"use": SHOW, "inputs": {"scores": "mix.scores"}}

    assert "pipeline.toml: stages: no source: every stage waits for another; add one without inputs" in problems(
        no_source
    )
    assert problems(lambda stages: stages.pop("results")) == [
        "pipeline.toml: stages: no sink: nothing takes the results; add one without outputs, such as console"
    ]


def test_two_stages_cannot_share_an_endpoint() -> None:
    def change(stages: dict[str, Any]) -> None:
        stages["results"]["endpoint"] = "tcp://127.0.0.1:5560"
        stages["more"] = copy.deepcopy(stages["results"])

    assert problems(change) == ['pipeline.toml: stages.more: "tcp://127.0.0.1:5560" is taken by stages.results already']


def test_an_endpoint_that_may_be_shared_is_shared_within_a_process() -> None:
    serve = {"use": "tests.support.stages:Serve", "inputs": {"scores": "fusion.scores"}}
    address = '"http://127.0.0.1:8080"'

    def share(*processes: str, taken: bool = False) -> Callable[[dict[str, Any]], None]:
        def change(stages: dict[str, Any]) -> None:
            for number, process in enumerate(processes):
                stages[f"page{number}"] = {**copy.deepcopy(serve), "process": process}
            if taken:
                stages["results"]["endpoint"] = "http://127.0.0.1:8080"

        return change

    table = good()
    share("web", "web")(table["stages"])
    assert graph_from_table(table, "g.toml").processes["web"] == ["page0", "page1"]
    assert problems(share("web", "else")) == [
        f"pipeline.toml: stages.page1: {address} is served by stages.page0 too, which is in another process; "
        'give both the same, such as process = "web"'
    ]
    assert problems(share("web", taken=True)) == [
        f"pipeline.toml: stages.page0: {address} is taken by stages.results already"
    ]


def test_a_budget_that_no_machine_could_keep_is_refused() -> None:
    table = good()
    table["pipeline"]["latency_budget"] = 3.0
    assert isinstance(graph_from_table(table, "g.toml"), Graph), "the voice's window of 3 s just fits"
    table["pipeline"]["latency_budget"] = 2.5
    with pytest.raises(GraphError) as caught:
        graph_from_table(table, "pipeline.toml")
    assert str(caught.value).splitlines() == [
        "pipeline.toml: pipeline.latency_budget: 2.5 s is less than the 3 s that the graph takes at the least: "
        "capture → voice (3 s)"
    ]
    table["pipeline"]["mode"] = "replay"
    assert isinstance(graph_from_table(table, "g.toml"), Graph), "a replay waits for as long as it takes"


def test_latencies_add_up_along_the_longest_path() -> None:
    table = good()
    table["pipeline"]["latency_budget"] = 2
    table["stages"]["voice"]["window"] = 1.5
    table["stages"]["again"] = {
        "use": "tests.support.stages:Late",
        "inputs": {"scores": "fusion.scores"},
        "delay": 0.75,
    }
    with pytest.raises(
        GraphError, match=r"takes at the least: capture → voice \(1\.5 s\) → fusion → again \(0\.75 s\)"
    ):
        graph_from_table(table, "pipeline.toml")


def test_a_stages_failing_hooks_are_problems_too() -> None:
    broken = "tests.support.stages:Broken"

    assert problems(lambda stages: stages.update(bad={"use": broken})) == [
        f"pipeline.toml: stages.bad: check() of {broken} failed: KeyError: 'lost'",
        f"pipeline.toml: stages.bad: writes() of {broken} failed: OSError: two lines",
        "pipeline.toml: stages.bad: /locked/clip.mp4: Permission denied; check the path, and who may enter its folders",
        f"pipeline.toml: stages.bad: latency() of {broken} failed: ValueError: nan s",
    ]
    assert problems(lambda stages: stages["capture"].update(use="tests.support.stages:Picky", uri="")) == [
        "pipeline.toml: stages.capture: the settings of tests.support.stages:Picky fail with RuntimeError: no uri"
    ]


def test_the_documentation_shows_what_check_really_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "graph.md").read_text(encoding="utf-8")
    right = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)[0]
    ((wrong, said),) = re.findall(r"For this graph\n\n```toml\n(.*?)```\n\nit says\n\n```\n(.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Path("wrong.toml").write_text(wrong)
    with pytest.raises(GraphError) as caught:
        load_graph("wrong.toml")
    assert str(caught.value).splitlines() == said.splitlines()
    Path("right.toml").write_text(right)
    make(Path("clip.mp4"), pictures=every(10, 0.5))
    assert list(load_graph("right.toml").processes) == ["capture", "vision", "fusion", "results"]


def test_of_those_who_read_what_is_overwritten_the_source_is_named(tmp_path: Path) -> None:
    path = make(tmp_path / "clip.mp4", pictures=every(25, 0.2))
    film = {"use": "overlay", "inputs": {"video": "capture.video"}, "path": str(path), "sound": str(path)}
    capture = {"use": "file-capture", "uri": str(path)}
    for stages in ({"film": film, "capture": capture}, {"capture": capture, "film": film}):
        with pytest.raises(GraphError) as caught:
            graph_from_table({"pipeline": {"mode": "replay"}, "stages": stages}, "g.toml")
        said = [line for line in str(caught.value).splitlines() if "overwrite" in line]
        assert [line.partition(", which ")[2] for line in said] == ["stages.capture reads; choose another path"]
