"""Whatever is in a graph, the answer is a graph or problems, in seconds."""

import re
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from emopipe.pipeline.errors import GraphError
from emopipe.pipeline.graph.load import Graph, graph_from_table, load_graph
from tests.support.graphs import CAMERA, GOOD, LISTEN, LOOK, MIX, SHOW, good


def large(stages: dict[str, Any]) -> list[str]:
    """What is wrong with a graph of thousands of stages, found in seconds of this processor's time."""
    began = time.process_time()
    try:
        graph_from_table({"stages": stages}, "large.toml")
        lines = []
    except GraphError as error:
        lines = str(error).splitlines()
    assert time.process_time() - began < 20
    return [line.removeprefix("large.toml: ") for line in lines]


@pytest.mark.slow("many examples")
def test_thousands_of_stages_are_checked_in_seconds() -> None:
    source = {"use": CAMERA, "uri": "x"}
    looks = {f"look-{n}": {"use": LOOK, "inputs": {"video": "capture.video"}} for n in range(3000)}
    shows = {f"show-{n}": {"use": SHOW, "inputs": {"scores": f"look-{n}.scores"}} for n in range(3000)}
    assert large({"capture": source, **looks, **shows}) == []


@pytest.mark.slow("many examples")
@pytest.mark.parametrize(
    ("video", "first", "count"),
    [
        ("look-{other}.scores", "stages.look-0.inputs.video: look-1.scores sends", 3002),
        ("loko-{n}.scores", 'stages.look-0.inputs.video: no stage "loko-0"; did you mean "look-0"?', 3002),
        ("x{n}.scores", 'stages.look-0.inputs.video: no stage "x0"; known are "look-0", "look-1", ', 3002),
    ],
)
def test_thousands_of_problems_are_found_in_seconds(video: str, first: str, count: int) -> None:
    stages = {
        f"look-{n}": {"use": LOOK, "inputs": {"video": video.format(n=n, other=(n + 1) % 3000)}} for n in range(3000)
    }
    lines = large(stages)
    assert lines[0].startswith(first)
    assert all(len(line) < 1000 for line in lines)


SOME = st.sampled_from(
    [
        "",
        "[",
        "]",
        "]]",
        "{",
        "}",
        '"',
        "'",
        "=",
        ".",
        ",",
        "\n",
        "\0",
        "#",
        "1e999",
        "nan",
        "-",
        "true",
        "\ud800",
        "\\",
    ]
)
LINE = st.integers(0, GOOD.count("\n"))
thorough = profile(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])


def graph_or_problems(load: Callable[[], Graph], origin: str) -> None:
    try:
        graph = load()
    except GraphError as error:
        lines = str(error).splitlines()
    else:
        assert {link.id.sender for link in graph.links} < set(graph.stages)
        return
    assert lines
    assert len(set(lines)) == len(lines)
    for line in lines:
        assert re.fullmatch(rf"{re.escape(origin)}: \S.*\S", line)
        assert line.isprintable()


@pytest.mark.slow("many examples")
@thorough
@given(data=st.data())
def test_any_text_gives_a_graph_or_problems(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    text = GOOD
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.sampled_from([0, 1, 1, 5, 40]))
        text = text[:start] + data.draw(SOME | st.text(max_size=8)) + text[start + length :]
        if data.draw(st.booleans()):
            lines = text.split("\n")
            lines.insert(data.draw(LINE), lines[data.draw(LINE) % len(lines)])
            text = "\n".join(lines)
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    graph_or_problems(lambda: load_graph(path), str(path))


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(max_size=8),
        st.dates(),
        st.sampled_from([CAMERA, LOOK, LISTEN, MIX, SHOW, "console", "capture.video", "fusion.scores", "a.b.c", "."]),
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["use", "inputs", "left", "video", "size", "uri"]) | st.text(), inner, max_size=3
        )
    ),
    max_leaves=5,
)


@pytest.mark.slow("many examples")
@thorough
@given(data=st.data())
def test_any_table_gives_a_graph_or_problems(data: st.DataObject) -> None:
    table = good()
    for _ in range(data.draw(st.integers(1, 4))):
        here: Any = table
        while True:
            keys = [*here, data.draw(st.text(max_size=6) | st.sampled_from(["queue", "inputs", "process", "mode"]))]
            key = data.draw(st.sampled_from(keys))
            if isinstance(here.get(key), dict) and here[key] and data.draw(st.integers(0, 4)):
                here = here[key]
                continue
            if data.draw(st.booleans()):
                here.pop(key, None)
            else:
                here[key] = data.draw(VALUES)
            break
    overrides = data.draw(st.lists(st.text(max_size=12) | st.sampled_from(["stages.faces.retries=3"]), max_size=2))
    graph_or_problems(lambda: graph_from_table(table, "pipeline.toml", overrides), "pipeline.toml")
