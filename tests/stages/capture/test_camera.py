"""camera: FFmpeg's virtual devices in place of real ones."""

import asyncio
import sys
import threading
import time
from itertools import pairwise
from typing import Any

import pytest

from emopipe.pipeline.clock import MS
from emopipe.pipeline.errors import MediaError
from emopipe.pipeline.graph.settings import convert
from emopipe.stages.capture import devices as live_devices
from emopipe.stages.capture.camera import Camera
from tests.support.live_sources import made, play, playing
from tests.support.waiting import until

pytestmark = pytest.mark.slow("plays made-up devices in real time")

PATTERN = "testsrc2=size=320x240:rate=30,realtime"


def camera(device: str = PATTERN, **settings: Any) -> Camera:
    return made(Camera, **{"format": "lavfi", "device": device, **settings})


def problems(**settings: Any) -> dict[str, str]:
    converted, wrong = convert(settings, Camera.Settings)
    assert not wrong
    return dict(converted.check())


def test_pictures_flow_on_the_clock_until_it_is_stopped() -> None:
    began = time.monotonic_ns()
    outputs = play(camera(), lambda outputs: len(outputs.data("video")) >= 20)
    took = time.monotonic_ns() - began
    messages = outputs.data("video")
    assert {m.stream for m in messages} == {"webcam"}
    assert messages[0].payload.luma.shape == (240, 320)
    assert messages[0].payload.small.shape == (240, 320, 3)
    assert all(later.pts >= earlier.pts + MS for earlier, later in pairwise(messages))
    assert 0 <= messages[0].pts < messages[-1].pts < took
    assert [m.stream for m in outputs.messages["video"] if m.kind == "eos"] == ["webcam", ""]
    assert outputs.warnings == []


def test_while_nobody_has_room_pictures_are_skipped_and_the_newest_comes() -> None:
    async def drive() -> None:
        stage = camera(stream="desk")
        async with playing(stage) as harness:
            await until(lambda: harness.outputs.data("video"))
            await harness.hold("video")
            held = len(harness.outputs.data("video"))
            await asyncio.sleep(1)
            last = harness.outputs.data("video")[-1].pts
            assert len(harness.outputs.data("video")) <= held + 1
            await harness.hold("video", held=False)
            await until(lambda: len(harness.outputs.data("video")) > held + 3)
            first = next(m for m in harness.outputs.data("video") if m.pts > last + 500 * MS)
            assert first.stream == "desk"
        assert stage.counters["skipped"] >= 10
        assert stage.counters["frames"] >= len(harness.outputs.data("video")) + stage.counters["skipped"]

    asyncio.run(drive())


def test_a_lost_camera_comes_back_on_the_same_time_line() -> None:
    """It gives half a second of pictures and is gone, again and again."""
    stage = camera("testsrc2=size=64x48:rate=20:duration=0.5,realtime")
    outputs = play(stage, lambda outputs: len(outputs.warnings) >= 2 and len(outputs.data("video")) > 12)
    lost, back = outputs.warnings[:2]
    assert lost == f"the camera {stage.settings.device} was lost (it ended); it is tried again until it is back"
    assert "is back after 00:0" in back
    messages = outputs.data("video")
    assert {m.epoch for m in messages} == {0}
    assert max(later.pts - earlier.pts for earlier, later in pairwise(messages)) >= 450 * MS
    assert stage.counters["lost"] >= 1


def test_without_reconnect_the_stream_ends() -> None:
    stage = camera("testsrc2=size=64x48:rate=20:duration=0.5,realtime", reconnect=0.0)
    outputs = play(stage, lambda outputs: any(m.kind == "eos" for m in outputs.messages["video"]))
    [warning] = outputs.warnings
    assert warning.endswith("was lost (it ended); its stream ends here")


def test_a_camera_that_freezes_is_lost() -> None:
    """One picture, and the next after ten minutes."""
    stage = camera("testsrc2=size=64x48:rate=1/600,realtime=limit=1000", timeout=0.6)
    outputs = play(stage, lambda outputs: outputs.warnings)
    assert "was lost (nothing came for 0.6 s)" in outputs.warnings[0]


def test_stopping_takes_no_longer_than_it_must() -> None:
    async def drive() -> float:
        async with playing(camera("testsrc2=size=64x48:rate=1/600,realtime=limit=1000", timeout=600.0)) as harness:
            await until(lambda: any(thread.name == "read lavfi" for thread in threading.enumerate()))
            began = time.monotonic()
            await harness.drain()
        return time.monotonic() - began

    assert asyncio.run(drive()) < 10


def test_a_size_that_is_not_to_be_had_is_told() -> None:
    outputs = play(camera(size="640x480"), lambda outputs: outputs.data("video"))
    assert outputs.warnings == [f"the camera {PATTERN} gives pictures of 320x240, not of 640x480"]


@pytest.mark.skipif(sys.platform != "linux", reason="V4L2 is Linux's")
def test_no_camera_is_said_before_anything_plays() -> None:
    with pytest.raises(MediaError) as error:
        play(made(Camera, device="/dev/video97"), lambda outputs: True)
    assert str(error.value).startswith("camera /dev/video97: there is no such camera; ")
    assert error.value.exit_code == 2


def test_a_graph_of_filters_that_is_none_is_said() -> None:
    with pytest.raises(MediaError, match=r"camera nonsense cannot be opened \(Filter not found"):
        play(camera("nonsense"), lambda outputs: True)


def test_what_gives_no_pictures_is_no_camera() -> None:
    with pytest.raises(MediaError, match="gives no video that can be decoded, but audio"):
        play(camera("sine"), lambda outputs: True)


def test_settings_are_checked_before() -> None:
    assert problems() == {}
    assert problems(size="1280x720", format="lavfi", device="testsrc2") == {}
    assert "expected WIDTHxHEIGHT" in problems(size="big")["size"]
    assert "without FFmpeg's 'nonsense'; it has: " in problems(format="nonsense")["format"]
    assert "lavfi needs a graph of filters" in problems(format="lavfi")["device"]


def test_what_is_asked_of_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_devices, "default_format", lambda kind: "v4l2")
    assert made(Camera).options() == {"video_size": "640x480", "framerate": "30"}
    asked = made(Camera, size="1280x720", fps=15.0, pixels="mjpeg").options()
    assert asked == {"video_size": "1280x720", "framerate": "15", "input_format": "mjpeg"}
    assert made(Camera, format="dshow", pixels="yuyv422").options() == {"pixel_format": "yuyv422"}
