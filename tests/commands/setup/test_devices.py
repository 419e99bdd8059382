"""`emopipe devices`."""

import json
import tomllib
from typing import Any

import pytest

from emopipe.__main__ import main
from emopipe.stages.capture import devices as live_devices
from emopipe.stages.capture.devices import Device

CAMERA = Device("video", "v4l2", "/dev/video0", "Integrated Camera")
MICROPHONE = Device("audio", "alsa", "default", "Sound server")


def there(monkeypatch: pytest.MonkeyPatch, *found: Device) -> None:
    def listed(kind: Any) -> list[Device]:
        return [device for device in found if device.kind == kind]

    monkeypatch.setattr(live_devices, "devices", listed)


def test_what_is_there_is_listed_with_its_tables(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there(monkeypatch, CAMERA, MICROPHONE)
    assert main(["devices"]) == 0
    said = capsys.readouterr().out
    assert "/dev/video0  Integrated Camera" in said
    stages = tomllib.loads(said[said.index("[stages.camera]") :])["stages"]
    assert stages["camera"] == {"use": "camera", "format": "v4l2", "device": "/dev/video0"}
    assert stages["microphone"] == {"use": "microphone", "format": "alsa", "device": "default"}


def test_that_there_is_none_is_said_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    there(monkeypatch)
    assert main(["devices"]) == 0
    said = capsys.readouterr().out
    assert "no camera: " in said
    assert "no microphone: " in said
    assert "[stages" not in said


def test_for_programs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    there(monkeypatch, MICROPHONE)
    assert main(["devices", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [
        {"stage": "microphone", "format": "alsa", "device": "default", "description": "Sound server"}
    ]


def test_this_machine_can_be_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "--json"]) == 0
    assert isinstance(json.loads(capsys.readouterr().out), list)
