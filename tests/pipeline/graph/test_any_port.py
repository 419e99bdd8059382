"""Ports of any number and type: what the graph and the settings make of `*`."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest

from emopipe.pipeline.errors import EmopipeError, GraphError
from emopipe.pipeline.graph.drawing import mermaid, svg
from emopipe.pipeline.graph.load import graph_from_table, instantiate
from emopipe.pipeline.message import Message, Payload
from emopipe.pipeline.port import Port, Settings, about
from emopipe.pipeline.source import Source
from emopipe.pipeline.stage import Recorder
from tests.support.graphs import good
from tests.support.stages import Image, Score, Sound


class Tape(Recorder):
    """Keeps whatever it is given."""

    name = "tape"
    inputs: ClassVar[dict[str, Port]] = {"*": Port(Payload, "anything", size=7)}

    async def record(self, port: str, message: Message) -> None:
        """Forget it."""


class Player(Source):
    """Plays what its settings say."""

    name = "player"
    outputs: ClassVar[dict[str, Port]] = {"*": Port(Payload, "anything")}

    class Settings(Settings):
        names: Annotated[list[str], about("the outputs")]

        def carries(self) -> dict[str, type[Payload]]:
            if not self.names:
                raise EmopipeError("the tape is empty; record one")
            return dict.fromkeys(self.names, Score)


TAPE, PLAYER = (f"{__name__}:{name}" for name in ("Tape", "Player"))


def with_tape(inputs: dict[str, Any], **more: Any) -> dict[str, Any]:
    table = good()
    table["stages"]["tape"] = {"use": TAPE, "inputs": inputs, **more}
    return table


def refused(table: dict[str, Any]) -> list[str]:
    with pytest.raises(GraphError) as caught:
        graph_from_table(table, "pipeline.toml")
    return str(caught.value).splitlines()


def test_an_input_carries_what_feeds_it_under_a_name_of_the_graphs() -> None:
    inputs = {"video": "capture.video", "voice.scores": "voice.scores"}
    graph = graph_from_table(with_tape(inputs, queue={"video": {"size": 3}}), "pipeline.toml")
    tape = graph.stages["tape"]
    assert {name: port.type for name, port in tape.cls.inputs.items()} == {"video": Image, "voice.scores": Score}
    assert {name: queue.size for name, queue in tape.queues.items()} == {"video": 3, "voice.scores": 7}
    assert "capture.video>tape.video" in {str(link.id) for link in graph.links}
    assert Tape.inputs["*"].type is Payload  # the class itself is as it was
    assert "voice.scores" in svg(graph)
    assert "tape" in mermaid(graph)


def test_a_worker_makes_the_same_of_plain_data() -> None:
    graph = graph_from_table(with_tape({"sound": "capture.audio"}), "pipeline.toml")
    spec = graph.stages["tape"]
    made = instantiate(spec.name, spec.use, spec.table, spec.carried)
    assert {name: port.type for name, port in made.inputs.items()} == {"sound": Sound}
    player = instantiate("player", PLAYER, {"names": ["a", "b"]})
    assert {name: port.type for name, port in player.outputs.items()} == {"a": Score, "b": Score}


def test_outputs_are_those_that_the_settings_name() -> None:
    table = good()
    table["stages"]["player"] = {"use": PLAYER, "names": ["faces.scores", "x"]}
    table["stages"]["fusion"]["inputs"] = {"left": "player.faces.scores"}
    graph = graph_from_table(table, "pipeline.toml")
    assert "player.faces.scores>fusion.left" in {str(link.id) for link in graph.links}
    table["stages"]["fusion"]["inputs"] = {"left": "player.face.scores"}
    assert refused(table) == [
        f'pipeline.toml: stages.fusion.inputs.left: player ({PLAYER}) has no output "face.scores"; '
        'did you mean "faces.scores"?'
    ]
    table["stages"]["player"]["names"] = []
    assert refused(table) == ["pipeline.toml: stages.player: the tape is empty; record one"]


def test_a_player_can_feed_a_tape() -> None:
    table = {
        "stages": {
            "tape": {"use": TAPE, "inputs": {"again": "player.x"}},
            "player": {"use": PLAYER, "names": ["x"]},
        }
    }
    graph = graph_from_table(table, "pipeline.toml")
    assert graph.stages["tape"].cls.inputs["again"].type is Score


def test_what_is_wrong_with_what_feeds_it_is_said_once() -> None:
    assert refused(with_tape({"video": "capture.vidoe"})) == [
        "pipeline.toml: stages.tape.inputs.video: capture (tests.support.stages:Camera) has no output "
        '"vidoe"; did you mean "video"?'
    ]
    assert refused(with_tape({"all": ["capture.video", "capture.audio"]})) == [
        "pipeline.toml: stages.tape.inputs.all: capture.audio sends Sound, but this input takes Image; "
        '"capture.video" would fit'
    ]
    assert refused(with_tape({})) == [
        "pipeline.toml: stages.tape.inputs: nothing feeds tape; name what it keeps, "
        'as in inputs.speech = "speech.emotions"'
    ]


class Misnamed(Source):
    """A port of any type that is not called so."""

    name = "misnamed"
    outputs: ClassVar[dict[str, Port]] = {"all": Port(Payload, "anything")}


def test_only_the_port_of_that_name_takes_any_type(tmp_path: Path) -> None:
    table = good()
    table["stages"]["more"] = {"use": f"{__name__}:Misnamed"}
    (problem,) = refused(table)
    assert problem.endswith('is badly declared: a port of any type is called "*", and no other is')
