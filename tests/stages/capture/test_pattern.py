"""test-pattern: what it says is there is there, and nothing else."""

import asyncio
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emopipe.models.assets import face_detector_model
from emopipe.pipeline.clock import MS, SECOND, FakeClock
from emopipe.pipeline.errors import ModelError
from emopipe.pipeline.graph.settings import convert
from emopipe.pipeline.message import Message
from emopipe.pipeline.testing import Outputs, StageHarness, run_stage
from emopipe.stages.capture import pattern as test_pattern
from emopipe.stages.capture import speech_synthesis as speaking
from emopipe.stages.capture.pattern import CYCLE, TestPattern, schedule


@pytest.fixture(autouse=True)
def _demo() -> None:
    pytest.importorskip("espeakng_loader", reason="needs the optional package espeakng-loader")
    pytest.importorskip("skimage", reason="needs the optional package scikit-image")


def pattern(**settings: Any) -> TestPattern:
    made, problems = convert({"realtime": False, **settings}, TestPattern.Settings)
    assert not problems
    return TestPattern(made)


@pytest.fixture(scope="module")
def cycle() -> Outputs:
    """One cycle and a little more, in few pictures."""
    return run_stage(pattern(duration=12.0, fps=10.0))


def within(spans: list[tuple[int, int]], pts: int) -> bool:
    return any(start <= pts < end for start, end in spans)


def sound(outputs: Outputs) -> NDArray[np.float32]:
    return np.concatenate([block.samples for block in outputs.payloads("audio")])


def test_pictures_and_sound_fill_the_duration(cycle: Outputs) -> None:
    pictures, blocks = cycle.data("video"), cycle.data("audio")
    assert [m.pts for m in pictures] == [number * SECOND // 10 for number in range(120)]
    assert {m.duration for m in pictures} == {SECOND // 10}
    assert len(sound(cycle)) == 12 * 16_000
    assert blocks[-1].pts + blocks[-1].duration == 12 * SECOND
    assert {m.stream for m in pictures + blocks} == {"test-pattern"}
    assert all((m.payload.luma.shape, m.payload.small.shape) == ((360, 640), (180, 320, 3)) for m in pictures)
    for output in ("video", "audio"):
        assert [m.stream for m in cycle.messages[output] if m.kind == "eos"] == ["test-pattern", ""]


def test_truth_is_the_schedule(cycle: Outputs) -> None:
    times = schedule(pattern(duration=12.0).settings)
    assert times.face == [(SECOND, 6 * SECOND), (11 * SECOND, 12 * SECOND)]
    assert times.voice == [(3 * SECOND, 5_500_000_000), (7 * SECOND, 9_500_000_000)]
    for message in cycle.data("video"):
        assert message.payload.truth == ("face" if within(times.face, message.pts) else "")
    for message in cycle.data("audio"):
        middle = message.pts + message.duration // 2
        assert message.payload.truth == ("voice" if within(times.voice, middle) else "")


def test_the_voice_is_heard_when_it_speaks_and_only_then(cycle: Outputs) -> None:
    import webrtcvad

    vad = webrtcvad.Vad(2)
    samples = (sound(cycle) * 32767).astype(np.int16)
    spans = schedule(pattern(duration=12.0).settings).voice
    heard = [
        (start * SECOND // 16_000, vad.is_speech(samples[start : start + 480].tobytes(), 16_000))
        for start in range(0, len(samples) - 479, 480)
    ]
    speaking_ = [is_speech for at, is_speech in heard if within(spans, at)]
    # A frame of 30 ms may reach into a span, and the detector hangs over for some frames.
    around = [(start - 30 * MS, end + SECOND // 4) for start, end in spans]
    silent = [is_speech for at, is_speech in heard if not within(around, at)]
    assert np.mean(speaking_) > 0.9
    assert not any(silent)


def test_silence_is_silent(cycle: Outputs) -> None:
    samples = sound(cycle)
    for start, end in schedule(pattern(duration=12.0).settings).voice:
        first, last = (at * 16_000 // SECOND for at in (start, end))
        assert np.abs(samples[first:last]).max() > 0.3
        samples[first:last] = 0
    assert not samples.any()


def test_mediapipe_sees_the_face_when_it_is_there_and_only_then(cycle: Outputs) -> None:
    import mediapipe as mp
    from mediapipe.tasks.python import BaseOptions, vision

    try:
        model = face_detector_model()
    except ModelError as error:
        pytest.skip(str(error))
    options = vision.FaceDetectorOptions(
        base_options=BaseOptions(model_asset_path=str(model)), min_detection_confidence=0.5
    )
    with vision.FaceDetector.create_from_options(options) as detector:
        for message in cycle.data("video")[::2]:
            image = mp.Image(image_format=mp.ImageFormat.SRGB, data=message.payload.small)
            assert len(detector.detect(image).detections) == (message.payload.truth == "face")


def test_the_face_moves_and_luma_and_small_show_the_same(cycle: Outputs) -> None:
    def left_edge(image: NDArray[Any]) -> int:
        changed = np.abs(image.astype(int) - image[0, 0].astype(int)).reshape(*image.shape[:2], -1).max(2) > 40
        return int(np.flatnonzero(changed.any(0))[0])

    shown = [m.payload for m in cycle.data("video") if m.payload.truth]
    edges = [left_edge(frame.luma) for frame in shown]
    assert max(edges) - min(edges) > 250
    assert [left_edge(frame.small) for frame in shown] == pytest.approx([edge / 2 for edge in edges], abs=8)


def test_the_same_settings_give_the_same_bytes() -> None:
    def digest(outputs: Outputs) -> list[tuple[int, bytes]]:
        def data(m: Message) -> bytes:
            return m.payload.luma.tobytes() if m.type == "VideoFrame" else m.payload.samples.tobytes()

        return [(m.pts, data(m)) for output in ("video", "audio") for m in outputs.data(output)]

    assert digest(run_stage(pattern(duration=4.0, fps=5.0))) == digest(run_stage(pattern(duration=4.0, fps=5.0)))


def test_in_real_time() -> None:
    class JumpingClock(FakeClock):
        async def sleep_until(self, when: int) -> None:
            self._now = max(self._now, when)
            await asyncio.sleep(0)

    async def drive() -> Outputs:
        harness = StageHarness(pattern(duration=0.5, realtime=True))
        harness.clock = JumpingClock()
        async with harness:
            await harness.finish()
        return harness.outputs

    outputs = asyncio.run(drive())
    assert all(m.trace[0].sent == m.pts for m in outputs.data("video"))
    assert all(m.trace[0].sent == m.pts + m.duration for m in outputs.data("audio"))


@pytest.mark.parametrize(("width", "height", "fps"), [(64, 64, 3.0), (123, 457, 29.97), (1920, 1080, 1.0)])
def test_sizes_and_rates(width: int, height: int, fps: float) -> None:
    stage = pattern(duration=2.0, width=width, height=height, fps=fps, stream="other")
    outputs = run_stage(stage)
    pictures = outputs.data("video", "other")
    assert len(pictures) == stage.counters["frames"] == round(2 * fps)
    assert pictures[-1].pts == round((len(pictures) - 1) * SECOND / fps)
    scale = min(1.0, 1280 / max(width, height))
    assert pictures[0].payload.luma.shape == (round(height * scale), round(width * scale))
    assert stage.counters["samples"] == 32_000


def test_the_cycle_holds_each_combination() -> None:
    times = schedule(TestPattern.Settings(duration=CYCLE))
    every = {(within(times.face, at), within(times.voice, at)) for at in range(0, 10 * SECOND, SECOND // 4)}
    assert len(every) == 4


def test_check_names_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert TestPattern.Settings().check() == []
    monkeypatch.setattr(speaking, "installed", lambda: False)
    ((_, text),) = TestPattern.Settings().check()
    assert text == test_pattern._MISSING
    assert "pip install 'emopipe[demo]'" in text
