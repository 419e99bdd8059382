"""The schema for editors agrees with what `check` says of the tables of a graph."""

import copy
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from emopipe.pipeline.errors import GraphError
from emopipe.pipeline.graph.load import graph_from_table
from emopipe.pipeline.graph.registry import built_in, resolve
from emopipe.pipeline.graph.schema import graph_schema
from tests.support.paths import ROOT

GRAPHS = [ROOT / "pipeline.toml", *sorted((ROOT / "configs").glob("*.toml"))]
OWN = "tests.support.stages:Look"


@pytest.fixture(scope="module")
def validator() -> Draft7Validator:
    schema = graph_schema(built_in()[0])
    Draft7Validator.check_schema(schema)
    return Draft7Validator(json.loads(json.dumps(schema)))


@pytest.mark.parametrize("path", GRAPHS, ids=lambda path: path.name)
def test_the_ready_graphs_are_valid(validator: Draft7Validator, path: Path) -> None:
    assert list(validator.iter_errors(tomllib.loads(path.read_text()))) == []


CHANGES: list[tuple[tuple[str, ...], Any]] = [
    (("stages", "faces", "min_confidense"), 0.5),
    (("stages", "faces", "min_confidence"), 1.5),
    (("stages", "faces", "min_confidence"), "high"),
    (("stages", "fusion", "method"), "guess"),
    (("stages", "faces", "use"), "face-detektion"),
    (("stages", "faces", "use"), 7),
    (("stages", "faces", "inputs"), {"vidio": "capture.video"}),
    (("stages", "faces", "inputs"), {}),
    (("stages", "faces", "inputs"), {"video": "capture"}),
    (("stages", "faces", "queue"), {"video": {"size": 0}}),
    (("stages", "faces", "queue"), {"video": {"policy": "drop"}}),
    (("stages", "faces", "queue"), {"sound": {"size": 4}}),
    (("stages", "faces", "process"), "a b"),
    (("stages", "faces", "supervision"), {"restart": "sometimes"}),
    (("stages", "a b"), {"use": "console", "inputs": {"emotions": "fusion.emotions"}}),
    (("stages",), {}),
    (("stage",), {}),
    (("pipeline", "mode"), "alive"),
    (("pipeline", "latency_budget"), 0),
    (("pipeline", "supervision"), {"backoff": -1}),
    (("pipeline", "control"), {"endpoint": "tcp://10.0.0.1:1"}),
]


@pytest.mark.parametrize(("place", "value"), CHANGES, ids=str)
def test_what_it_refuses_check_refuses_too(validator: Draft7Validator, place: tuple[str, ...], value: Any) -> None:
    table = tomllib.loads((ROOT / "pipeline.toml").read_text())
    graph_from_table(copy.deepcopy(table), "pipeline.toml")
    *way, last = place
    at = table
    for key in way:
        at = at[key]
    at[last] = value
    assert list(validator.iter_errors(table))
    with pytest.raises(GraphError):
        graph_from_table(table, "pipeline.toml")


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("stages", "faces", "use"), OWN),
        (("stages", "faces", "queue"), {"video": {"size": 2, "policy": "drop-newest", "max_age": 0.5}}),
        (("stages", "faces", "supervision"), {"restart": "never", "max_memory": 1000}),
        (("stages", "console", "inputs"), {"emotions": ["fusion.emotions"]}),
        (("stages", "tape"), {"use": "mcap", "path": "x.mcap", "inputs": {"faces.faces": "faces.faces"}}),
        (("processes",), {"vision": {"remote": "vision.key"}}),
        (("pipeline", "supervision"), {"backoff": 1}),
    ],
)
def test_what_a_graph_may_say_is_valid(validator: Draft7Validator, place: tuple[str, ...], value: Any) -> None:
    table = tomllib.loads((ROOT / "pipeline.toml").read_text())
    *way, last = place
    at = table
    for key in way:
        at = at[key]
    at[last] = value
    assert list(validator.iter_errors(table)) == []


def test_a_stage_of_ones_own_is_held_to_its_settings() -> None:
    validator = Draft7Validator(graph_schema({**built_in()[0], OWN: resolve(OWN)}))
    table = tomllib.loads((ROOT / "pipeline.toml").read_text())
    table["stages"]["faces"] = {"use": OWN, "inputs": {"video": "capture.video"}, "min_confidence": 0.5}
    assert list(validator.iter_errors(table)) == []
    table["stages"]["faces"]["min_confidence"] = "high"
    assert list(validator.iter_errors(table))


def test_it_says_what_a_setting_means_and_in_which_unit() -> None:
    fusion = graph_schema(built_in()[0])["definitions"]["stage-fusion"]
    hold = fusion["properties"]["hold"]
    assert hold["description"] == "how long a window of speech stays the partner of frames, in s"
    assert (hold["exclusiveMinimum"], hold["default"]) == (0, 1.0)
    assert fusion["properties"]["use"]["description"].startswith("Fuses what each face and the voice express")
