"""`emopipe certify`: stimuli of known moments through a whole graph."""

import json
import tomllib
from pathlib import Path

import pytest

from emopipe.commands.evaluation.certify import certified_table
from emopipe.graphs.ready import find_graph
from emopipe.pipeline.errors import EmopipeError
from tests.support.verbs import verb

RTSP = tomllib.loads(find_graph(Path("rtsp")).read_text())


@pytest.mark.slow("half a minute of stimuli in real time, through all models")
def test_light_and_sound_are_found_with_error_bars(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert verb("certify", "--trials", "5", "--json", str(tmp_path / "c.json")) in (0, 1)  # busy: a voice may be missed
    made = json.loads((tmp_path / "c.json").read_text())
    assert made["trials"] == 5
    # A picture's time stamp is late by a decoder's picture or two, by no more than that, and so is the sound's.
    for stamp in ("light_stamp", "sound_stamp"):
        assert made[stamp]["count"] == 5
        assert -50 < made[stamp]["least"] <= made[stamp]["mean"] <= made[stamp]["greatest"] < 400
        assert made[stamp]["low"] <= made[stamp]["mean"] <= made[stamp]["high"]
    assert "time stamp of light − light" in capfd.readouterr().out


def test_the_graph_keeps_its_stages_and_has_one_sink() -> None:
    table = certified_table(RTSP, "rtsp.toml", "tcp://127.0.0.1:1", Path("observed.jsonl"))
    assert set(table["stages"]) == {*RTSP["stages"]} - {"console", "publish"} | {"observer"}
    assert table["stages"]["capture"]["uri"] == "tcp://127.0.0.1:1"
    assert RTSP["stages"]["capture"]["uri"] != "tcp://127.0.0.1:1"
    assert table["stages"]["observer"]["inputs"]["emotions"] == "fusion.emotions"


def test_a_graph_without_network_capture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        EmopipeError, match="expected one stage network-capture, found 0; a graph to begin with is rtsp"
    ):
        verb("certify", "webcam", "--json", str(tmp_path / "c.json"))
    assert not (tmp_path / "c.json").exists()


def test_error_bars_take_several_stimuli() -> None:
    with pytest.raises(EmopipeError, match="--trials 3: error bars take 5 at least"):
        verb("certify", "--trials", "3")
