"""graph.remote: processes on other hosts are known by their keys, or the graph is refused in one sentence."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emopipe.pipeline.access.keys import write_pair
from emopipe.pipeline.errors import GraphError
from emopipe.pipeline.graph.load import Graph, graph_from_table
from tests.support.graphs import good

Table = dict[str, Any]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    """A right graph, of which the process `vision` runs on another host."""
    desk, vision = write_pair(tmp_path, "desk"), write_pair(tmp_path, "vision")
    graph = good()
    graph["pipeline"]["control"] = {"endpoint": "tcp://127.0.0.1:5570", "secret_key": str(desk.secret_file)}
    graph["processes"] = {"vision": {"remote": str(vision.public_file)}}
    return graph


def load(table: Table) -> Graph:
    return graph_from_table(table, "pipeline.toml")


def problem(table: Table, change: Callable[[Table], object]) -> str:
    change(table)
    with pytest.raises(GraphError) as caught:
        load(table)
    (only,) = str(caught.value).splitlines()
    return only.removeprefix("pipeline.toml: ")


def test_links_that_lead_to_another_host_are_known(table: Table) -> None:
    graph = load(table)
    assert graph.remote.endpoint == "tcp://127.0.0.1:5570"
    assert graph.remote.processes["vision"].wait == 60
    ways = {str(link.id): (link.local, link.remote) for link in graph.links}
    assert ways == {
        "capture.video>faces.video": (False, True),
        "capture.audio>voice.audio": (False, False),
        "faces.scores>fusion.left": (True, False),
        "voice.scores>fusion.left": (False, True),
        "fusion.scores>results.scores": (False, True),
    }


def test_in_one_process_nothing_is_elsewhere(table: Table) -> None:
    graph = load(table).in_one_process()
    assert graph.remote.processes == {}
    assert not any(link.remote for link in graph.links)


def test_a_public_key_may_stand_for_its_file(table: Table, tmp_path: Path) -> None:
    key = write_pair(tmp_path, "other").public
    table["processes"]["vision"]["remote"] = key
    assert load(table).remote.processes["vision"].key == key


def test_files_of_another_host_are_not_looked_for_here(table: Table, tmp_path: Path) -> None:
    here = {"use": "jsonl", "path": f"{tmp_path}/no/such/folder/results.jsonl", "inputs": {"emotions": "mix.emotions"}}
    source = {"use": "file-capture", "uri": "/only/there.mp4", "process": "vision"}
    table["stages"] = {
        "capture": source,
        "faces": {"use": "face-detection", "inputs": {"video": "capture.video"}},
        "facial": {"use": "facial-inference", "inputs": {"faces": "faces.faces"}},
        "mix": {"use": "fusion", "inputs": {"faces": "facial.emotions"}},
        "results": {**here, "process": "vision"},
    }
    assert load(table).stages["capture"].process == "vision"
    source["process"] = "desk"
    assert problem(table, lambda t: None).startswith("stages.capture.uri: /only/there.mp4: ")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda t: t["pipeline"].pop("control"), "pipeline.control: missing: by it other hosts find the run"),
        (
            lambda t: t["pipeline"]["control"].update(endpoint="tcp://0.0.0.0:5570"),
            "pipeline.control.endpoint: tcp://0.0.0.0:5570 is no address to be reached at: the other hosts connect",
        ),
        (
            lambda t: t["pipeline"]["control"].update(endpoint="tcp://10.0.0.1:*"),
            "pipeline.control.endpoint: tcp://10.0.0.1:* is no address to be reached at",
        ),
        (
            lambda t: t["pipeline"]["control"].update(endpoint="ipc:///tmp/x"),
            "pipeline.control.endpoint: 'ipc:///tmp/x' is not an address",
        ),
        (
            lambda t: t["pipeline"]["control"].update(secret_key="nothing"),
            "pipeline.control.secret_key: nothing: no such key file",
        ),
        (
            lambda t: t["pipeline"]["control"].update(endpiont="x"),
            'pipeline.control.endpiont: unknown setting; did you mean "endpoint"?',
        ),
        (
            lambda t: t["processes"].update(vison=t["processes"].pop("vision")),
            'processes.vison: no stage runs in a process "vison"; did you mean "vision"?',
        ),
        (lambda t: t["processes"].update(vision=3), "processes.vision: expected a table such as"),
        (lambda t: t.update(processes=3), "processes: expected a table for each process, got 3"),
        (
            lambda t: t["processes"]["vision"].pop("remote"),
            "processes.vision: expected either remote, the key of who starts it",
        ),
        (
            lambda t: t["processes"]["vision"].update(remote="rubbish"),
            'processes.vision.remote: "rubbish" is no public key: expected 40 characters of Z85',
        ),
        (
            lambda t: t["processes"].update(capture=dict(t["processes"]["vision"])),
            "processes.capture.remote: another process has the same key, by which it is known",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(change: Callable[[Table], object], expected: str, table: Table) -> None:
    assert problem(table, change).startswith(expected)


def test_a_process_may_say_on_which_node_of_a_cluster_it_belongs() -> None:
    graph = good()
    graph["processes"] = {"vision": {"label": {"zone": "a"}}}
    graph["stages"]["faces"]["gpus"] = 0.25
    read = load(graph)
    assert (read.remote.labels, read.remote.processes) == ({"vision": {"zone": "a"}}, {})
    assert read.stages["faces"].gpus == 0.25
    assert not any(link.remote for link in read.links)


@pytest.mark.parametrize("given", [{}, {"remote": "a.key", "label": {"zone": "a"}}])
def test_a_process_is_started_there_or_placed(given: dict[str, Any]) -> None:
    graph = good()
    graph["processes"] = {"vision": given}
    assert problem(graph, lambda t: None).startswith("processes.vision: expected either remote, the key of who starts")


@pytest.mark.parametrize("given", [-1, 1.5, True, "half", 65])
def test_gpus_are_a_part_of_one_or_a_whole_number(given: object) -> None:
    graph = good()
    graph["stages"]["faces"]["gpus"] = given
    assert problem(graph, lambda t: None).startswith("stages.faces.gpus: expected a part of a GPU, such as 0.25, or")
