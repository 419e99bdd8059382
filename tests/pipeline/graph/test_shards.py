"""A graph in several shards: who plays what, and what cannot be divided."""

from pathlib import Path

import pytest

from emopipe.pipeline.access.keys import KeyPair, write_pair
from emopipe.pipeline.errors import GraphError
from emopipe.pipeline.graph.load import Graph, graph_from_table
from emopipe.pipeline.graph.shards import explain_shards, sharded

STAGES = "tests.support.restart_stages:"


def graph(
    shards: int,
    *,
    streams: int = 3,
    mode: str = "replay",
    layout: str = "stages",
    control: object = None,
    **tables: object,
) -> Graph:
    stages = {
        "count": {"use": f"{STAGES}Recordings", "streams": streams},
        "pass": {"use": f"{STAGES}Fragile", "inputs": {"numbers": "count.numbers"}},
        "lines": {"use": f"{STAGES}Lines", "inputs": {"numbers": "pass.numbers"}, "path": "lines.txt"},
    }
    pipeline = {"shards": shards, "mode": mode, "layout": layout, "control": control or {}}
    return graph_from_table({"pipeline": pipeline, "stages": stages, **tables}, "toy.toml")


def cameras(shards: int) -> Graph:
    stages: dict[str, object] = {
        name: {"use": "network-capture", "uri": f"rtsp://{name}/", "stream": name} for name in ("gate", "hall", "yard")
    }
    stages["voice"] = {"use": "microphone", "format": "lavfi", "device": "anoisesrc", "stream": "hall"}
    stages["faces"] = {"use": "face-detection", "inputs": {"video": ["gate.video", "hall.video", "yard.video"]}}
    stages["facial"] = {"use": "facial-inference", "inputs": {"faces": "faces.faces"}}
    stages["windows"] = {"use": "speech-windows", "inputs": {"audio": "voice.audio"}}
    stages["speech"] = {"use": "speech-inference", "inputs": {"windows": "windows.windows"}}
    stages["fusion"] = {"use": "fusion", "inputs": {"faces": "facial.emotions", "speech": "speech.emotions"}}
    stages["results"] = {"use": "console", "inputs": {"emotions": "fusion.emotions"}}
    return graph_from_table({"pipeline": {"shards": shards, "mode": "live"}, "stages": stages}, "street.toml")


def test_each_shard_has_a_copy_of_everything_but_the_sinks() -> None:
    played = sharded(graph(2))
    assert list(played.stages) == ["count.0", "count.1", "pass.0", "pass.1", "lines"]
    assert list(played.processes) == ["count.0", "count.1", "pass.0", "pass.1", "lines"]
    assert [str(link.id) for link in played.links] == [
        "count.0.numbers>pass.0.numbers",
        "count.1.numbers>pass.1.numbers",
        "pass.0.numbers>lines.numbers",
        "pass.1.numbers>lines.numbers",
    ]


def test_streams_are_dealt_out_evenly_and_in_their_order() -> None:
    played = sharded(graph(2, streams=5))
    assert [played.stages[name].settings.plays() for name in ("count.0", "count.1")] == [
        ["s0", "s2", "s4"],
        ["s1", "s3"],
    ]
    assert played.stages["count.1"].table["only"] == ["s1", "s3"]
    assert dict(played.turns) == {"s0": 0, "s1": 1, "s2": 0, "s3": 1, "s4": 0}
    assert explain_shards(graph(2, streams=5)) == ["2 shards", "  shard 0: s0, s2, s4", "  shard 1: s1, s3"]


def test_there_are_no_more_shards_than_streams() -> None:
    assert [name for name in sharded(graph(8)).stages if name.startswith("count")] == ["count.0", "count.1", "count.2"]
    assert explain_shards(graph(8))[0] == "3 shards, not 8: there is no more to divide"
    assert list(sharded(graph(8, streams=1)).stages) == ["count", "pass", "lines"]


def test_one_shard_is_the_graph_as_it_is() -> None:
    one = graph(1)
    assert sharded(one) is one
    assert list(sharded(graph(4).in_one_process()).processes) == ["all"]


def test_cameras_and_their_microphones_go_together_and_shards_have_only_what_they_need() -> None:
    played = sharded(cameras(3))
    assert [name for name in played.stages if name.endswith(".0")] == ["gate.0", "faces.0", "facial.0", "fusion.0"]
    ends = {"hall.1", "voice.1", "faces.1", "facial.1", "windows.1", "speech.1", "fusion.1"}
    assert {name for name in played.stages if name.endswith(".1")} == ends
    assert [str(feed) for feed in played.stages["faces.2"].inputs["video"]] == ["yard.2.video"]
    assert list(played.stages["fusion.0"].inputs) == ["faces"]
    assert [str(feed) for feed in played.stages["results"].inputs["emotions"]] == [
        "fusion.0.emotions",
        "fusion.1.emotions",
        "fusion.2.emotions",
    ]
    assert played.turns == {}


def test_a_replay_of_one_source_in_shards_can_begin_anew() -> None:
    assert sharded(graph(2)).unrepeatable == ""


def test_labels_hold_for_every_copy_of_a_process() -> None:
    played = sharded(graph(2, processes={"pass": {"label": {"zone": "a"}}}))
    assert played.remote.labels == {"pass.0": {"zone": "a"}, "pass.1": {"zone": "a"}}


def test_stages_that_share_a_process_do_so_in_each_shard() -> None:
    played = sharded(graph(2, layout="auto"))
    shared = [set(names) for process, names in played.processes.items() if process.endswith(".1")]
    assert sum(map(len, shared)) == 2
    assert "lines" in {name for names in played.processes.values() for name in names}


@pytest.mark.parametrize("shards", [0, -1, 1001, 1.5, "two"])
def test_a_number_that_is_none_is_refused(shards: object) -> None:
    with pytest.raises(GraphError, match=r"toy\.toml: pipeline\.shards: "):
        graph_from_table({"pipeline": {"shards": shards}, "stages": {}}, "toy.toml")


def test_a_source_of_callers_cannot_be_divided() -> None:
    stages = {
        "calls": {"use": "webrtc"},
        "faces": {"use": "face-detection", "inputs": {"video": "calls.video"}},
        "facial": {"use": "facial-inference", "inputs": {"faces": "faces.faces"}},
        "fusion": {"use": "fusion", "inputs": {"faces": "facial.emotions"}},
        "console": {"use": "console", "inputs": {"emotions": "fusion.emotions"}},
    }
    text = (
        r"pipeline\.shards: calls \(webrtc\) does not know its streams before it plays, to share them out; leave shards"
    )
    with pytest.raises(GraphError, match=text):
        graph_from_table({"pipeline": {"shards": 2, "mode": "live"}, "stages": stages}, "calls.toml")


def test_a_process_that_is_started_by_hand_cannot_be_copied(tmp_path: Path) -> None:
    desk = write_pair(tmp_path, "desk")
    control = {"endpoint": "tcp://127.0.0.1:5570", "secret_key": str(desk.secret_file)}
    with pytest.raises(GraphError, match=r"pipeline\.shards: process pass is started by hand on another host"):
        graph(2, control=control, processes={"pass": {"remote": KeyPair.new().public}})


def test_a_name_with_no_room_for_the_number_is_refused() -> None:
    name = "n" * 126
    stages = {
        name: {"use": f"{STAGES}Recordings"},
        "lines": {"use": f"{STAGES}Lines", "inputs": {"numbers": f"{name}.numbers"}, "path": "lines.txt"},
    }
    with pytest.raises(GraphError, match="leaves no room for the shard's number"):
        graph_from_table({"pipeline": {"shards": 2}, "stages": stages}, "toy.toml")
