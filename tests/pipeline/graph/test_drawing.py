"""Pictures of graphs: complete, readable, and with nothing on top of anything else."""

from itertools import combinations
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as profile
from hypothesis import strategies as st

from emopipe.pipeline.graph.drawing import mermaid, svg
from emopipe.pipeline.graph.layout import lay_out, text_width
from emopipe.pipeline.graph.load import Graph, graph_from_table
from tests.support.graphs import good

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def graph() -> Graph:
    return graph_from_table(good(), "g.toml")


def test_mermaid_shows_stages_links_queues_and_processes(graph: Graph) -> None:
    assert mermaid(graph) == (
        "flowchart LR\n"
        '    s0(["<b>capture</b><br/>tests.support.stages:Camera"])\n'
        '    subgraph p1["process vision"]\n'
        '        s1["<b>faces</b><br/>tests.support.stages:Look"]\n'
        '        s3["<b>fusion</b><br/>tests.support.stages:Mix"]\n'
        "    end\n"
        '    s2["<b>voice</b><br/>tests.support.stages:Listen"]\n'
        '    s4[/"<b>results</b><br/>tests.support.stages:Show"/]\n'
        '    s0 -->|"video<br/>drop-newest 2 · 0.5 s"| s1\n'
        '    s0 -->|"audio<br/>block 16"| s2\n'
        '    s1 -->|"scores → left<br/>block 16"| s3\n'
        '    s2 -->|"scores → left<br/>block 16"| s3\n'
        '    s3 -->|"scores<br/>block 16"| s4\n'
    )


def test_in_replay_queues_are_no_choice_and_not_shown() -> None:
    graph = graph_from_table(good(), "g.toml", ["pipeline.mode=replay"])
    assert '-->|"video"| s1' in mermaid(graph)
    assert "block 16" not in svg(graph)
    assert "replay: every link blocks, nothing is dropped" in svg(graph)


def test_a_screen_reader_is_told_what_the_picture_shows(graph: Graph) -> None:
    root = ElementTree.fromstring(svg(graph))
    assert root.get("role") == "img"
    named = {root.find(f".//*[@id='{name}']") for name in (root.get("aria-labelledby") or "").split()}
    texts = {element.text for element in named if element is not None}
    assert texts == {
        "The graph interview: 5 stages",
        "capture.video to faces.video; capture.audio to voice.audio; faces.scores to fusion.left; "
        "voice.scores to fusion.left; fusion.scores to results.scores",
    }


def test_the_picture_shows_every_stage_port_link_and_process(graph: Graph) -> None:
    root = ElementTree.fromstring(svg(graph))
    cards = {card.get("data-stage"): "".join(card.itertext()) for card in root.iter(f"{SVG}g")}
    assert list(cards) == list(graph.stages)
    for name, spec in graph.stages.items():
        for word in (name, spec.use, *spec.cls.inputs, *spec.cls.outputs):
            assert word in cards[name]
    assert "drop-newest 2 · 0.5 s" in cards["faces"]
    assert len([path for path in root.iter(f"{SVG}path") if path.get("class") == "link"]) == len(graph.links)
    assert len([rect for rect in root.iter(f"{SVG}rect") if rect.get("class") == "process"]) == 1
    assert "process vision" in "".join(root.itertext())
    assert "interview · live, within 4 s" in "".join(root.itertext())


def test_a_name_is_text_and_never_markup() -> None:
    table = good()
    table["pipeline"]["name"] = '<b>&"x'
    root = ElementTree.fromstring(svg(graph_from_table(table, "g.toml")))
    assert '<b>&"x · live, within 4 s' in "".join(root.itertext())


def test_the_same_graph_gives_the_same_picture(graph: Graph) -> None:
    assert svg(graph) == svg(graph_from_table(good(), "g.toml"))


def test_a_chain_is_drawn_straight() -> None:
    table = good()
    del table["stages"]["voice"]
    table["stages"]["fusion"]["inputs"]["left"] = "faces.scores"
    layout = lay_out(graph_from_table(table, "g.toml"), {})
    heights = {
        round(
            place.y + (place.inputs[wire.link.input] if place is wire.places[-1] else place.outputs[wire.link.output])
        )
        for wire in layout.wires
        for place in wire.places
    }
    assert len(heights) == 1


class Rectangle(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def of(cls, thing: Any) -> "Rectangle":
        return cls(thing.x, thing.y, thing.x + thing.width, thing.y + thing.height)

    def apart(self, other: "Rectangle", distance: float) -> bool:
        return (
            self.right + distance <= other.left
            or other.right + distance <= self.left
            or self.bottom + distance <= other.top
            or other.bottom + distance <= self.top
        )

    def within(self, other: "Rectangle") -> bool:
        return (
            self.left >= other.left
            and self.top >= other.top
            and self.right <= other.right
            and self.bottom <= other.bottom
        )


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Sources, mixers of what came before them, sinks; some of them together in a process."""
    stages: dict[str, Any] = {}
    sources = draw(st.integers(1, 3))
    for number in range(draw(st.integers(2, 9))):
        before = [f"{name}.scores" for name, stage in stages.items() if not stage["use"].endswith("Show")]
        kind = "Dice" if number < sources else draw(st.sampled_from(["Mix", "Mix", "Show"]))
        stages[f"s{number}"] = stage = {"use": f"tests.support.stages:{kind}"}
        some = st.lists(st.sampled_from(before), min_size=1, max_size=3, unique=True) if before else st.nothing()
        if kind == "Mix":
            stage["inputs"] = {"left": draw(some), "right": draw(some | st.just([]))}
        elif kind == "Show":
            stage["inputs"] = {"scores": draw(some)}
        if process := draw(st.sampled_from([None, None, "a", "b"])):
            stage["process"] = process
    last = max(name for name, stage in stages.items() if not stage["use"].endswith("Show"))
    stages["end"] = {"use": "tests.support.stages:Show", "inputs": {"scores": f"{last}.scores"}}
    return graph_from_table({"stages": stages}, "g.toml")


@pytest.mark.slow("many examples")
@profile(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(graphs())
def test_nothing_lies_on_top_of_anything_else(graph: Graph) -> None:
    layout = lay_out(graph, {})
    page = Rectangle(0, 0, layout.width, layout.height)
    boxes = {name: Rectangle.of(box) for name, box in layout.boxes.items()}
    frames = {frame.process: Rectangle.of(frame) for frame in layout.frames}
    assert set(boxes) == set(graph.stages)
    assert set(frames) == {process for process, names in graph.processes.items() if len(names) > 1}
    assert all(shape.within(page) for shape in [*boxes.values(), *frames.values()])
    assert all(one.apart(other, 20) for one, other in combinations(boxes.values(), 2))
    assert all(one.apart(other, 0) for one, other in combinations(frames.values(), 2))
    for process, frame in frames.items():
        for name, box in boxes.items():
            inside = graph.stages[name].process == process
            assert box.within(frame) if inside else box.apart(frame, 0)
    for wire in layout.wires:
        # Between columns there are no boxes; in the columns that it passes, a wire keeps clear of them.
        ranks = [place.rank for place in wire.places]
        assert ranks == list(range(ranks[0], ranks[-1] + 1))
        for passage in wire.places[1:-1]:
            assert all(Rectangle.of(passage).apart(box, 5) for box in boxes.values())
    ElementTree.fromstring(svg(graph))


def test_wide_letters_need_more_room_than_narrow_ones() -> None:
    assert text_width("mm", 10) > text_width("aa", 10) > text_width("il", 10)
