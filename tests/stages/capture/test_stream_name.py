"""capture.stream_name: a graph cannot name a stream as callers are named."""

import pytest

from emopipe.stages.capture.camera import Camera
from emopipe.stages.capture.network import NetworkCapture
from emopipe.stages.capture.pattern import TestPattern
from emopipe.stages.capture.stream_name import check_stream_name


@pytest.mark.parametrize("name", ["webrtc/anna", "/", "a\nb", "\x1b[2J", "x" * 5000])
def test_names_that_will_not_do(name: str) -> None:
    ((key, text),) = check_stream_name(name)
    assert key == "stream"
    assert "\n" not in text
    assert text.split("; ")[1].startswith("choose a ")


@pytest.mark.parametrize("name", ["webcam", "Kamera 2", "été", "a.b-c_d"])
def test_names_that_will(name: str) -> None:
    assert check_stream_name(name) == []


def test_every_source_with_such_a_setting_asks() -> None:
    settings = (
        TestPattern.Settings(stream="webrtc/anna"),
        NetworkCapture.Settings(uri="rtsp://camera.local/1", stream="webrtc/anna"),
        Camera.Settings(format="lavfi", device="testsrc", stream="webrtc/anna"),
    )
    for each in settings:
        assert ("stream", '"webrtc/anna" holds a /, as the names of callers do; choose a name without') in each.check()
