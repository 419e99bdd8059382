"""microphone: FFmpeg's virtual devices in place of real ones."""

import sys
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from emopipe.pipeline.clock import MS
from emopipe.pipeline.errors import MediaError
from emopipe.pipeline.graph.settings import convert
from emopipe.pipeline.testing import Outputs
from emopipe.stages.capture import devices as live_devices
from emopipe.stages.capture.microphone import Microphone
from tests.support.live_sources import made, play

pytestmark = pytest.mark.slow("plays made-up devices in real time")

TONE = "sine=frequency=440:sample_rate=44100,arealtime"


def microphone(device: str = TONE, **settings: Any) -> Microphone:
    return made(Microphone, **{"format": "lavfi", "device": device, **settings})


def blocks(count: int) -> Any:
    return lambda outputs: len(outputs.data("audio")) >= count


def check_time_line(outputs: Outputs) -> None:
    messages = [m for m in outputs.messages["audio"] if m.kind in ("data", "gap")]
    assert all(later.pts == earlier.pts + earlier.duration for earlier, later in pairwise(messages))
    assert messages[0].pts >= 0


def test_sound_flows_in_blocks_on_the_clock_until_it_is_stopped() -> None:
    stage = microphone(block=0.05)
    outputs = play(stage, blocks(20))
    check_time_line(outputs)
    assert {len(m.payload.samples) for m in outputs.data("audio")[:-1]} == {800}
    assert {m.stream for m in outputs.data("audio")} == {"webcam"}
    wave = np.concatenate([payload.samples for payload in outputs.payloads("audio")[:16]])
    spectrum = np.abs(np.fft.rfft(wave[: 16 * 800] * np.hanning(16 * 800)))
    assert spectrum.argmax() * 16_000 / (16 * 800) == pytest.approx(440, abs=5)
    assert [m.stream for m in outputs.messages["audio"] if m.kind == "eos"] == ["webcam", ""]
    assert stage.counters["gaps"] == stage.counters["overflowed"] == 0


def test_a_few_samples_at_a_time_are_gathered() -> None:
    """Some devices give 64 samples at a time."""
    outputs = play(microphone("sine=frequency=440:samples_per_frame=64,arealtime"), blocks(10))
    check_time_line(outputs)
    wave = np.concatenate([payload.samples for payload in outputs.payloads("audio")])
    assert np.abs(np.diff(wave)).max() < 0.05  # no frame lost: a sine without a break


def test_a_lost_microphone_leaves_a_gap_and_no_new_epoch() -> None:
    stage = microphone("sine=frequency=440:duration=0.6,arealtime")
    outputs = play(stage, lambda outputs: len(outputs.gaps("audio")) >= 1 and len(outputs.data("audio")) >= 14)
    check_time_line(outputs)
    assert outputs.gaps("audio")[0].duration >= 300 * MS
    assert {m.epoch for m in outputs.messages["audio"]} == {0}
    assert "the microphone sine=frequency=440:duration=0.6,arealtime was lost" in outputs.warnings[0]
    assert "is back after" in outputs.warnings[1]


@pytest.mark.skipif(sys.platform != "linux", reason="ALSA is Linux's")
def test_no_microphone_is_said_before_anything_plays() -> None:
    with pytest.raises(MediaError) as error:
        play(made(Microphone, device="plughw:CARD=nowhere"), lambda outputs: True)
    assert str(error.value).startswith("microphone plughw:CARD=nowhere")


def test_settings_are_checked_before() -> None:
    settings, _ = convert({"format": "pulse"}, Microphone.Settings)
    [(key, text)] = settings.check()
    assert key == "format"
    assert "without FFmpeg's 'pulse'; it has: " in text
    settings, _ = convert({"format": "lavfi"}, Microphone.Settings)
    assert "sine=frequency=300,arealtime" in dict(settings.check())["device"]


def test_what_is_asked_of_a_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_devices, "default_format", lambda kind: "alsa")
    assert made(Microphone).options() == {}
    assert made(Microphone, rate=44_100, channels=1).options() == {"sample_rate": "44100", "channels": "1"}
