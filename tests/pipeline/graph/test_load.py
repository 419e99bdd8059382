"""Loading graphs: what a TOML file becomes, overrides, and the names of stages."""

import sys
from pathlib import Path
from typing import Any

import pytest

from emopipe.pipeline.errors import GraphError
from emopipe.pipeline.graph.load import Graph, OutputRef, Queue, graph_from_table, instantiate, load_graph, resolve
from emopipe.pipeline.graph.registry import built_in, import_path
from tests.support import stages
from tests.support.graphs import GOOD, good


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "pipeline.toml"
    path.write_text(GOOD)
    return path


def refused(table: dict[str, Any], *overrides: str) -> list[str]:
    with pytest.raises(GraphError) as caught:
        graph_from_table(table, "pipeline.toml", overrides)
    return str(caught.value).splitlines()


def test_a_file_becomes_a_graph(path: Path) -> None:
    graph = load_graph(path)
    assert (graph.name, graph.mode, graph.path, graph.latency_budget) == ("interview", "live", path, 4.0)
    faces = graph.stages["faces"]
    assert faces.cls is stages.Look
    assert faces.settings == stages.Look.Settings(min_confidence=0.75)
    assert faces.table == {"min_confidence": 0.75}
    assert faces.inputs == {"video": [OutputRef("capture", "video")]}
    assert faces.queues == {"video": Queue(size=2, policy="drop-newest", max_age=0.5)}
    assert graph.stages["fusion"].inputs == {"left": [OutputRef("faces", "scores"), OutputRef("voice", "scores")]}
    assert graph.processes == {
        "capture": ["capture"],
        "vision": ["faces", "fusion"],
        "voice": ["voice"],
        "results": ["results"],
    }


def test_links_are_listed_with_their_queues(path: Path) -> None:
    links = load_graph(path).links
    assert [(str(link.id), link.queue.size, link.local) for link in links] == [
        ("capture.video>faces.video", 2, False),
        ("capture.audio>voice.audio", 16, False),
        ("faces.scores>fusion.left", 16, True),
        ("voice.scores>fusion.left", 16, False),
        ("fusion.scores>results.scores", 16, False),
    ]


def test_stages_come_in_topological_order_and_else_as_in_the_file() -> None:
    table = good()
    table["stages"] = dict(reversed(table["stages"].items()))
    assert list(graph_from_table(table, "g.toml").stages) == ["capture", "voice", "faces", "fusion", "results"]


def test_a_queue_is_the_ports_own_where_the_graph_has_none() -> None:
    table = good()
    del table["stages"]["faces"]["queue"]
    assert graph_from_table(table, "g.toml").stages["faces"].queues["video"] == Queue(size=4, policy="drop-oldest")
    table["stages"]["faces"]["queue"] = {"video": {"max_age": 1}}
    queue = graph_from_table(table, "g.toml").stages["faces"].queues["video"]
    assert queue == Queue(size=4, policy="drop-oldest", max_age=1.0)


def test_in_replay_every_link_blocks_and_there_is_no_budget(path: Path) -> None:
    graph = load_graph(path, ["pipeline.mode=replay"])
    assert graph.stages["faces"].queues["video"] == Queue(size=2, policy="block")
    assert graph.latency_budget is None


def test_the_pipeline_table_has_defaults(tmp_path: Path) -> None:
    table = good()
    del table["pipeline"]
    graph = graph_from_table(table, tmp_path / "street.toml")
    assert (graph.name, graph.mode, graph.latency_budget) == ("street", "replay", None)


def test_a_file_of_windows_is_read_too(path: Path) -> None:
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.replace("\n", "\r\n").encode())
    assert len(load_graph(path).stages) == 5


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("clip.mp4", "clip.mp4"),
        ('"clip.mp4"', "clip.mp4"),
        ("a=b.mp4", "a=b.mp4"),
        ("tcp://127.0.0.1:5560", "tcp://127.0.0.1:5560"),
        ("a\nb = 1", "a\nb = 1"),
        ("1\nmirrored = true", "1\nmirrored = true"),
    ],
)
def test_an_override_takes_text_as_it_is(path: Path, text: str, value: str) -> None:
    assert load_graph(path, [f"stages.capture.uri={text}"]).stages["capture"].settings.uri == value


def test_overrides_are_toml_and_reach_every_key(path: Path) -> None:
    graph = load_graph(
        path,
        [
            "stages.capture.fps=25",
            "stages.capture.mirrored = true",
            "stages.faces.queue.video.size=7",
            'stages.fusion.inputs.right=["voice.scores"]',
            "stages.fusion.process=joined",
            "stages.results.labels=['a', 'b']",
            "pipeline.name=other",
        ],
    )
    assert graph.name == "other"
    assert graph.stages["capture"].settings.fps == 25.0
    assert graph.stages["capture"].settings.mirrored is True
    assert graph.stages["faces"].queues["video"].size == 7
    assert graph.stages["fusion"].inputs["right"] == [OutputRef("voice", "scores")]
    assert graph.stages["fusion"].process == "joined"
    assert graph.stages["results"].settings.labels == ["a", "b"]


def test_overrides_do_not_change_the_table_given() -> None:
    table = good()
    graph_from_table(table, "g.toml", ["stages.capture.uri=other.mp4"])
    assert table == good()


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("stages.captrue.uri=x", 'pipeline.toml: stages.captrue: no such stage; did you mean "capture"?'),
        ("stages.capture.url=x", 'pipeline.toml: stages.capture.url: unknown setting; did you mean "uri"?'),
        ("stage.capture.uri=x", 'pipeline.toml: stage: unknown table; did you mean "stages"?'),
        ("stages.capture.fps=0", "pipeline.toml: stages.capture.fps: 0 is not above 0 and at most 240 Hz"),
        ("stages.faces.inputs.video=capture.vdeo", "pipeline.toml: stages.faces.inputs.video: capture "
         '(tests.support.stages:Camera) has no output "vdeo"; did you mean "video"?'),
        ("stages.capture.uri.x=1", "pipeline.toml: stages.capture.uri: --set stages.capture.uri.x=1: "
         'this is no table, but "clip.mp4"'),
        ("clip.mp4", "pipeline.toml: --set clip.mp4: expected path.to.key=value, such as "
         "stages.capture.uri=clip.mp4"),
        ("=x", "pipeline.toml: --set =x: expected path.to.key=value, such as stages.capture.uri=clip.mp4"),
        ("a\nb=x", "pipeline.toml: --set a b=x: expected path.to.key=value, such as stages.capture.uri=clip.mp4"),
        ("stages=3", "pipeline.toml: stages: expected a table for each stage, got 3"),
    ],
)  # fmt: skip
def test_a_wrong_override_is_a_problem_like_any_other(override: str, problem: str) -> None:
    assert refused(good(), override) == [problem]


def test_a_user_names_a_class_in_a_module_beside_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", sys.path[:])
    (tmp_path / "my_cameras.py").write_text(
        "from tests.support.stages import Camera\n\nclass Mine(Camera):\n    name = 'mine'\n"
    )
    (tmp_path / "mine.toml").write_text(GOOD.replace("tests.support.stages:Camera", "my_cameras:Mine"))
    graph = load_graph(tmp_path / "mine.toml")
    assert graph.stages["capture"].cls.name == "mine"
    assert import_path(graph.path) == [tmp_path, Path.cwd()]
    assert sys.path.index(str(tmp_path)) > 0, "a user's module must not come before what is installed"


def test_built_in_stages_are_found_by_name() -> None:
    stages, broken = built_in()
    assert broken == {}
    assert all(resolve(name) is cls and cls.name == name for name, cls in stages.items())
    assert resolve("console").__module__ == "emopipe.stages.sinks.console"


@pytest.mark.parametrize(
    ("use", "problem"),
    [
        ("consol", 'no stage "consol"; did you mean "console"?'),
        ("types", 'no stage "types"'),
        ("my_module.MyStage", 'no stage "my_module.MyStage"; for a class of your own write "my_module:MyStage"'),
        ("no_such_module:X", 'no module "no_such_module"; looked in the graph\'s folder, the current folder and '
         "what is installed"),
        ("tests.no_such:X", 'no module "tests.no_such"; looked in the graph\'s folder, the current folder and '
         "what is installed"),
        ("tests.support.stages:Camrea", 'module "tests.support.stages" has no class "Camrea"; did you mean "Camera"?'),
        ("tests.support.stages:helper", '"tests.support.stages:helper" is not a stage: its class must derive from '
         "emopipe.pipeline.Stage"),
        ("tests.support.stages:Stage", '"tests.support.stages:Stage" is not a stage: its class must derive from '
         "emopipe.pipeline.Stage"),
        ("tests.support.stages:Nameless", 'stage "tests.support.stages:Nameless" is badly declared: it has no name; '
         'declare `name = "…"` in the class'),
        ("../x:Y", '"../x:Y" is no stage: expected a name, or "my_package.my_module:MyStage"'),
        (":", '":" is no stage: expected a name, or "my_package.my_module:MyStage"'),
    ],
)  # fmt: skip
def test_a_stage_that_cannot_be_found_says_why(use: str, problem: str) -> None:
    with pytest.raises(GraphError) as caught:
        resolve(use)
    (only,) = str(caught.value).splitlines()
    assert only.startswith(problem) if use == "types" else only == problem


@pytest.mark.parametrize(
    ("use", "now"),
    [
        ("stages.face_detection:FaceDetection", "face-detection"),
        ("emopipe.stages.face_detection:FaceDetector", "face-detection"),
        ("stages.facial_inference", "facial-inference"),
        ("stages.capture.FileCapture", "file-capture"),
        ("face_detection", "face-detection"),
        ("FaceDetection", "face-detection"),
    ],
)
def test_a_stage_by_an_old_name_or_module_is_told_its_new_one(use: str, now: str) -> None:
    with pytest.raises(GraphError) as caught:
        resolve(use)
    assert str(caught.value).endswith(f'; did you mean "{now}"?')


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import no_such_dependency", "ModuleNotFoundError: No module named 'no_such_dependency'"),
        ("def", "SyntaxError: invalid syntax (failing_module.py, line 1)"),
        ("raise SystemExit('bye')", "SystemExit: bye"),
        ("import sys\nsys.exit(0)", "SystemExit: 0"),
        ("class Odd(BaseException): pass\nraise Odd('even')", "Odd: even"),
        ("import asyncio\nraise asyncio.CancelledError", "CancelledError"),
        ("raise ValueError('two\\nlines')", "ValueError: two lines"),
        ("def __getattr__(name): raise SystemExit(name)", "SystemExit: X"),  # the last: it can be imported
    ],
)
def test_an_error_while_importing_is_told_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, problem: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "failing_module.py").write_text(source)
    with pytest.raises(GraphError) as caught:
        resolve("failing_module:X")
    assert str(caught.value) == f'importing "failing_module" failed: {problem}'


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("inputs = {'a b': Port(Payload, '')}", "`inputs` must map identifiers to Port(…)"),
        ("outputs = ['x']", "`outputs` must map identifiers to Port(…)"),
        ("Settings = dict", "`Settings` must derive from emopipe.pipeline.Settings"),
        ("class Settings(Settings):\n        use: str = ''", 'setting "use" is a word of the graph; '
         "give it another name"),
        ("class Settings(Settings):\n        latency: float = 0.1", 'setting "latency" is what the graph asks of '
         "settings; give it another name"),
        ("outputs = {'a': Port(Payload, '')}", "it has no inputs; derive from emopipe.pipeline.Source"),
        ("class Settings(Settings):\n        x: Annotated[str, about('', ge=1)] = ''", "its settings cannot be read: "
         "TypeError: Can only set `ge` on a numeric type"),
    ],
)  # fmt: skip
def test_a_badly_declared_stage_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, problem: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "bad_stage", raising=False)
    (tmp_path / "bad_stage.py").write_text(
        "from typing import Annotated\nfrom emopipe.pipeline.message import Payload\n"
        "from emopipe.pipeline.port import Port, Settings, about\n"
        "from emopipe.pipeline.stage import Stage\n"
        f"class Bad(Stage):\n    name = 'bad'\n    {body}\n"
    )
    with pytest.raises(GraphError) as caught:
        resolve("bad_stage:Bad")
    (only,) = str(caught.value).splitlines()
    assert only.startswith(f'stage "bad_stage:Bad" is badly declared: {problem}')


def test_a_worker_makes_its_stage_from_plain_data() -> None:
    stage = instantiate("faces", "tests.support.stages:Look", {"min_confidence": 1})
    assert isinstance(stage, stages.Look)
    assert stage.label == "faces"
    assert stage.settings.min_confidence == 1.0
    with pytest.raises(GraphError, match=r"stages\.faces\.min_confidence: 3 is not between 0 and 1"):
        instantiate("faces", "tests.support.stages:Look", {"min_confidence": 3})


@pytest.fixture
def graph() -> Graph:
    return graph_from_table(good(), "g.toml")


def test_a_specification_is_enough_to_make_its_stage_elsewhere(graph: Graph) -> None:
    for spec in graph.stages.values():
        assert instantiate(spec.name, spec.use, spec.table).settings == spec.settings
