"""A recording of messages in place of capture, detection and inference: the results are the same bytes."""

import asyncio
from pathlib import Path

import pytest

from emopipe.pipeline.errors import StageFailed
from emopipe.pipeline.graph.load import Graph, graph_from_table, read_table
from emopipe.pipeline.runtime.supervisor import RunResult, Supervisor
from emopipe.stages.messages.document import DocumentCodec
from emopipe.stages.messages.reader import MessageRecording
from tests.support.paths import ROOT
from tests.support.toy_stages import Number


def play(graph: Graph) -> RunResult:
    return asyncio.run(Supervisor(graph).run())


def default_graph(results: Path, tape: Path) -> Graph:
    """The default graph on seven seconds of its test source, with two outputs recorded."""
    table = read_table(ROOT / "pipeline.toml")
    stages = table["stages"]
    stages["capture"] |= {"duration": 7.0, "realtime": False}
    stages["console"] = {"use": "jsonl", "path": str(results), "inputs": {"emotions": "fusion.emotions"}}
    outputs = ("facial.emotions", "speech.emotions", "fusion.emotions")
    stages["tape"] = {"use": "mcap", "path": str(tape), "inputs": {name: name for name in outputs}}
    return graph_from_table(table, ROOT / "pipeline.toml")


def rerun_graph(results: Path, again: Path, tape: Path, *, realtime: bool = False) -> Graph:
    """What was recorded, into fusion and to a file; and the recorded results themselves to another."""
    inputs = {"faces": "tape.facial.emotions", "speech": "tape.speech.emotions"}
    stages = {
        "tape": {"use": "messages", "path": str(tape), "realtime": realtime},
        "fusion": {"use": "fusion", "inputs": inputs},
        "results": {"use": "jsonl", "path": str(results), "inputs": {"emotions": "fusion.emotions"}},
        "again": {"use": "jsonl", "path": str(again), "inputs": {"emotions": "tape.fusion.emotions"}},
    }
    return graph_from_table({"stages": stages}, "rerun.toml")


@pytest.mark.slow("a run of the default graph with its models, and three reruns")
def test_played_back_into_fusion_they_give_the_same_bytes(tmp_path: Path) -> None:
    results, tape = tmp_path / "results.jsonl", tmp_path / "tape.mcap"
    recorded = play(default_graph(results, tape))
    before = results.read_bytes()
    assert before.count(b"\n") > 200
    assert recorded.reports["tape"].counters["recorded"] > 400
    for number, (one_process, realtime) in enumerate([(False, False), (True, False), (False, True)]):
        rerun, again = tmp_path / f"rerun-{number}.jsonl", tmp_path / f"again-{number}.jsonl"
        graph = rerun_graph(rerun, again, tape, realtime=realtime)
        result = play(graph.in_one_process() if one_process else graph)
        assert rerun.read_bytes() == before
        assert again.read_bytes() == before
        assert result.reports["tape"].counters["played"] == recorded.reports["tape"].counters["recorded"] - 3


@pytest.mark.slow("two seconds of real time before the kill")
def test_a_run_that_is_killed_leaves_what_it_recorded(tmp_path: Path) -> None:
    tape = tmp_path / "tape.mcap"
    stages = {
        "numbers": {"use": "tests.support.toy_stages:Numbers", "count": 0, "pause": 0.005},
        "double": {
            "use": "tests.support.toy_stages:Double",
            "inputs": {"numbers": "numbers.numbers"},
            "at": 400,
            "how": "kill",
        },
        "tape": {"use": "mcap", "path": str(tape), "inputs": {"numbers": "numbers.numbers"}},
    }
    with pytest.raises(StageFailed):
        play(graph_from_table({"stages": stages}, "killed.toml").in_one_process())
    recording = MessageRecording(str(tape), partial=True)
    codec = DocumentCodec(Number)
    messages = [codec.decode(each.data) for each in recording.messages()]
    recording.close()
    assert not recording.complete
    assert 100 < len(messages) <= 401
    assert [message.payload.value for message in messages] == list(range(len(messages)))
