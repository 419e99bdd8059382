"""Cameras and microphones: which there are, and what is said of those that cannot be opened."""

import errno
import os
from pathlib import Path
from typing import Any, NamedTuple

import av
import pytest

from emopipe.stages.capture import devices as live_devices
from emopipe.stages.capture.devices import Device, devices, explain, known, table, why_none
from emopipe.stages.capture.reader import OpenError


class Found(NamedTuple):
    """As PyAV lists a device."""

    name: str
    description: str
    is_default: bool
    media_types: list[str]


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> list[Found]:
    """What FFmpeg finds; to be filled."""
    there: list[Found] = []
    monkeypatch.setattr(av.device, "enumerate_input_devices", lambda format: there)
    monkeypatch.setattr(live_devices, "_sound_cards", lambda: True)
    return there


def failed(number: int | None, reason: str = "") -> OpenError:
    return OpenError(reason or (os.strerror(number) if number else "odd"), number)


def test_cameras_are_listed_with_the_default_first(found: list[Found]) -> None:
    found += [
        Found("/dev/video2", "Capture card", False, ["video"]),
        Found("/dev/video0", "Integrated Camera", True, ["video"]),
        Found("/dev/radio0", "Radio", False, ["audio"]),
    ]
    assert devices("video", "v4l2") == [
        Device("video", "v4l2", "/dev/video0", "Integrated Camera"),
        Device("video", "v4l2", "/dev/video2", "Capture card"),
    ]
    assert live_devices.default_device("v4l2", "video") == "/dev/video0"


def test_of_alsas_names_those_of_microphones_are_listed(found: list[Found]) -> None:
    names = ["null", "speexrate", "default", "hw:CARD=PCH,DEV=0", "plughw:CARD=PCH,DEV=0", "upmix"]
    found += [Found(name, name, name == "default", []) for name in names]
    assert [device.device for device in devices("audio", "alsa")] == [
        "default",
        "hw:CARD=PCH,DEV=0",
        "plughw:CARD=PCH,DEV=0",
    ]


def test_without_a_card_or_a_sound_server_there_is_no_microphone(
    monkeypatch: pytest.MonkeyPatch, found: list[Found], tmp_path: Path
) -> None:
    found.append(Found("default", "Playback", True, []))
    monkeypatch.setattr(live_devices, "_sound_cards", lambda: False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("PULSE_SERVER", raising=False)
    assert devices("audio", "alsa") == []
    (tmp_path / "pulse").mkdir()
    (tmp_path / "pulse/native").touch()
    assert [device.device for device in devices("audio", "alsa")] == ["default"]


def test_each_system_has_its_own_way_of_naming(monkeypatch: pytest.MonkeyPatch, found: list[Found]) -> None:
    monkeypatch.setattr(live_devices, "known", lambda format: True)
    found.append(Found("0x8020000005ac8514", "FaceTime HD", True, []))
    assert [device.device for device in devices("video", "avfoundation")] == ["FaceTime HD"]
    assert [device.device for device in devices("audio", "avfoundation")] == [":FaceTime HD"]
    assert [device.device for device in devices("video", "dshow")] == ["video=0x8020000005ac8514"]
    assert live_devices.default_device("dshow", "audio") == "audio=0x8020000005ac8514"
    assert live_devices.default_device("avfoundation", "video") == "default"
    assert live_devices.default_device("alsa", "audio") == "default"


@pytest.mark.parametrize(
    ("kind", "format", "error", "expected"),
    [
        ("video", "v4l2", failed(errno.ENOENT), "there is no such camera; there is: /dev/video0 (Cam)"),
        ("video", "v4l2", failed(errno.EBUSY), "is in use by another program; close that; fuser -v /dev/video7 shows"),
        ("video", "v4l2", failed(errno.EACCES), "may not be used by this user; "),
        ("video", "v4l2", failed(errno.EINVAL), "it was asked for video_size=9x9: leave these settings out"),
        ("video", "v4l2", failed(errno.ETIMEDOUT, "no answer within 5 s"), "unplug it and plug it in again"),
        ("video", "lavfi", failed(errno.EINVAL), "device is a graph of FFmpeg's filters"),
        ("audio", "alsa", failed(errno.EIO, "cannot open (Device or resource busy)"), "in use by another program"),
        ("audio", "alsa", failed(errno.EIO, "cannot open (No such file or directory)"), "there is no such microphone"),
        ("video", "nonsense", failed(None), "this PyAV was built without FFmpeg's 'nonsense'; it has: "),
    ],
)
def test_errors_say_what_to_do(kind: Any, format: str, error: OpenError, expected: str, found: list[Found]) -> None:
    found.append(Found("/dev/video0", "Cam", True, ["video"]))
    said = explain(kind, format, "/dev/video7", {"video_size": "9x9"}, error)
    assert said.startswith(f"{live_devices.NOUN[kind]} /dev/video7")
    assert expected in said


@pytest.mark.parametrize("kind", ["video", "audio"])
def test_why_there_is_none_says_what_to_do(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(why_none(kind)) > 20
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr(live_devices, "known", lambda format: True)
    assert "privacy settings" in why_none(kind)
    monkeypatch.setattr("sys.platform", "plan9")
    assert why_none(kind).startswith("plan9 is no system whose")


def test_the_table_of_a_graph_can_be_loaded() -> None:
    import tomllib

    both = [
        Device("video", "v4l2", "/dev/video0", "Cam"),
        Device("video", "v4l2", "/dev/video2", "Other"),
        Device("audio", "dshow", 'audio=Mic "one"', "Mic"),
    ]
    assert tomllib.loads(table(both)) == {
        "stages": {
            "camera": {"use": "camera", "format": "v4l2", "device": "/dev/video0"},
            "microphone": {"use": "microphone", "format": "dshow", "device": 'audio=Mic "one"'},
        }
    }


def test_this_pyav_reads_devices() -> None:
    assert known("lavfi")
    assert not known("nonsense")
    assert "lavfi" in live_devices.device_formats()


def test_libasound_is_shown_the_systems_configuration_and_what_the_user_says_stays(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "alsa.conf").touch()
    monkeypatch.setattr(live_devices, "_ALSA", tmp_path)
    monkeypatch.setattr(os, "environ", {"ALSA_CONFIG_DIR": "/mine"})
    live_devices._use_the_systems_alsa.cache_clear()
    try:
        live_devices.prepare("alsa")
        assert os.environ["ALSA_CONFIG_PATH"] == str(tmp_path / "alsa.conf")
        assert os.environ["ALSA_CONFIG_DIR"] == "/mine"
    finally:
        live_devices._use_the_systems_alsa.cache_clear()
