"""`emopipe certify`: stimuli of known moments through a whole graph."""

import json
import tomllib
from pathlib import Path

import pytest

from emopipe.certificate.figures import Certificate, certificate
from emopipe.certificate.observer import Observation
from emopipe.commands.evaluation.certify import certified_table, unperceived
from emopipe.graphs.ready import find_graph
from emopipe.pipeline.clock import MS
from emopipe.pipeline.errors import EmopipeError
from tests.support.endpoints import free_endpoint
from tests.support.room import Room
from tests.support.verbs import verb

WEBCAM = tomllib.loads(find_graph(Path("webcam")).read_text())
SILENCE = ("stages.microphone.format=lavfi", "stages.microphone.device=anullsrc,arealtime")
GREY = ("stages.camera.format=lavfi", "stages.camera.device=color=gray:rate=25,realtime")
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
    table = certified_table(RTSP, "rtsp.toml", Path("observed.jsonl"), "tcp://127.0.0.1:1")
    assert set(table["stages"]) == {*RTSP["stages"]} - {"console", "publish"} | {"observer"}
    assert table["stages"]["capture"]["uri"] == "tcp://127.0.0.1:1"
    assert RTSP["stages"]["capture"]["uri"] != "tcp://127.0.0.1:1"
    assert table["stages"]["observer"]["inputs"]["emotions"] == "fusion.emotions"


@pytest.mark.slow("half a minute of stimuli in real time, through all models")
def test_a_camera_and_a_microphone_that_are_late_are_found_to_be_late(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("skimage", reason="the face is scikit-image's: install emopipe[demo]")
    screen, file = free_endpoint(), tmp_path / "c.json"
    with Room(screen, light=80 * MS, sound=120 * MS) as room:
        devices = [("camera", room.camera), ("microphone", room.microphone)]
        given = [f"stages.{stage}.{key}" for stage, at in devices for key in ("format=nut", f"device={at}")]
        sets = [each for setting in given for each in ("--set", setting)]
        assert verb("certify", "--screen", screen, "--trials", "7", *sets, "--json", str(file)) in (0, 1)
    made = json.loads(file.read_text())
    assert made["trials"] == 7
    # Never earlier than the room lets light and sound through; on a busy machine later.
    assert made["light_stamp"]["least"] > 79
    assert made["sound_stamp"]["least"] > 110
    assert "the page's clock was known to" in capfd.readouterr().err


def test_the_graphs_own_camera_and_microphone_stay_as_they_are() -> None:
    table = certified_table(WEBCAM, "webcam.toml", Path("observed.jsonl"), None)
    assert set(table["stages"]) == {*WEBCAM["stages"]} - {"console"} | {"observer"}
    for device in ("camera", "microphone"):
        assert table["stages"][device] == WEBCAM["stages"][device]
    assert table["stages"]["observer"]["inputs"] == {
        "video": "camera.video",
        "audio": "microphone.audio",
        "emotions": "fusion.emotions",
    }


@pytest.mark.slow("starts all stages")
@pytest.mark.parametrize(
    ("sets", "said"),
    [
        (
            ("stages.camera.format=v4l2", "stages.camera.device=/dev/video99", *SILENCE),
            "camera /dev/video99: there is no",
        ),
        ((*GREY, "stages.microphone.format=alsa", "stages.microphone.device=hw:99"), "microphone hw:99"),
    ],
    ids=["camera", "microphone"],
)
def test_a_device_that_is_not_there_is_a_sentence(sets: tuple[str, ...], said: str) -> None:
    pytest.importorskip("skimage", reason="the face is scikit-image's: install emopipe[demo]")
    given = [each for setting in sets for each in ("--set", setting)]
    with pytest.raises(EmopipeError, match=said) as error:
        verb("certify", "--screen", free_endpoint(), *given)
    assert error.value.exit_code == 2
    assert "\n" not in str(error.value)


def seen_and_heard(*, light: bool, sound: bool) -> Certificate:
    """What is made of ten stimuli of which the camera saw, or the microphone heard, nothing."""
    moments, observations = [], []
    for start in range(1_000 * MS, 51_000 * MS, 5_000 * MS):
        moments.append((start, start))
        for now in range(start - 3_000 * MS, start + 1_480 * MS, 40 * MS):
            there = now >= start
            observations.append(Observation("picture", now, now, 100.0 if light and there else 50.0))
            observations.append(Observation("sound", now, now, peaks=[0.5 if sound and there else 0.01] * 40))
    return certificate(moments, observations)


def test_light_that_is_not_seen_and_sound_that_is_not_heard_are_sentences() -> None:
    assert unperceived(seen_and_heard(light=True, sound=True)) == ""
    dark, mute = (unperceived(seen_and_heard(light=light, sound=not light)) for light in (False, True))
    assert dark.startswith("light was seen in fewer than 5 of 10 stimuli: let the screen fill most of the camera's")
    assert mute.startswith("sound was heard in fewer than 5 of 10 stimuli: turn the loudspeaker up")
    assert unperceived(seen_and_heard(light=False, sound=False)) == f"{dark}; and {mute}"


def test_a_graph_without_network_capture_is_told_of_the_screen(tmp_path: Path) -> None:
    with pytest.raises(EmopipeError, match=r"expected one stage network-capture, found 0; .* certified by --screen"):
        verb("certify", "webcam", "--json", str(tmp_path / "c.json"))
    assert not (tmp_path / "c.json").exists()


@pytest.mark.parametrize("use", ["face-detection", "speech-windows"])
def test_a_graph_without_faces_or_voices_or_their_source_is_refused(use: str) -> None:
    [name] = [name for name, stage in WEBCAM["stages"].items() if stage["use"] == use]
    stages = WEBCAM["stages"]
    without = {"stages": {other: stage for other, stage in stages.items() if other != name}}
    with pytest.raises(EmopipeError, match=f"w.toml: expected one stage {use}, found 0"):
        certified_table(without, "w.toml", Path("o.jsonl"), None)
    unfed = {"stages": stages | {name: {"use": use}}}
    with pytest.raises(EmopipeError, match=rf"w.toml: stages\.{name}\.inputs\.(video|audio): missing"):
        certified_table(unfed, "w.toml", Path("o.jsonl"), None)


def test_error_bars_take_several_stimuli() -> None:
    with pytest.raises(EmopipeError, match="--trials 3: error bars take 5 at least"):
        verb("certify", "--trials", "3")
