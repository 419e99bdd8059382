"""The fusion stage: one join a stream, and honest watermarks."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emopipe.models import checkpoint
from emopipe.models.calibration import Selection
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.errors import ModelError
from emopipe.pipeline.message import FOREVER, Message
from emopipe.pipeline.testing import StageHarness, eos, gap, run_stage, watermark
from emopipe.stages.fusion.stage import Fusion
from tests.support.emotion_messages import FRAME, HOP, frame, said, window
from tests.support.random_weights import fusion_weights

SETTLING = 80 * MS
PROMPT = Fusion.Settings(settling=0)  # a window counts for a face from its very end on


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(work, 60))


def test_a_frame_waits_until_speech_has_passed_it() -> None:
    async def scenario() -> None:
        async with StageHarness(Fusion(PROMPT)) as stage:
            await stage.send("faces", frame(HOP, {0: "happy"}))
            assert said(stage.outputs) == []
            await stage.send("speech", window(HOP, watermark=HOP))
            assert said(stage.outputs) == []  # another window might end at the same time
            await stage.send("speech", watermark(2 * HOP))
            assert said(stage.outputs) == [(HOP, "face", "voice")]
            await stage.clock.advance(3600 * SECOND)
            await stage.send("faces", frame(2 * HOP, {0: "happy"}))
            await stage.clock.advance(3600 * SECOND)
            assert len(said(stage.outputs)) == 1  # replay knows no deadline
            await stage.finish()
            assert said(stage.outputs) == [(HOP, "face", "voice"), (2 * HOP, "face", "voice")]
            assert not any(result.forced for result in stage.outputs.payloads("emotions"))

    run(scenario())


def test_no_face_waits_for_a_window_that_has_only_just_ended() -> None:
    async def scenario() -> None:
        async with StageHarness(Fusion()) as stage:
            await stage.send("speech", window(HOP, watermark=2 * HOP))
            await stage.send("faces", frame(2 * HOP + SETTLING - 1, {0: "happy"}))
            (result,) = stage.outputs.payloads("emotions")  # the window that ends at 2 HOP has not come
            assert result.voice.end == HOP
            await stage.send("faces", frame(2 * HOP + SETTLING, {0: "happy"}))
            assert len(said(stage.outputs)) == 1  # this one waits
            await stage.send("speech", window(2 * HOP, watermark=3 * HOP))
            assert [result.voice.end for result in stage.outputs.payloads("emotions")] == [HOP, 2 * HOP]
            await stage.finish()
            assert [source for _, source, _ in said(stage.outputs)] == ["face", "face"]  # no window is alone

    run(scenario())


def test_a_window_that_comes_after_a_later_face_counts_as_early_as_one_that_came_before_it() -> None:
    faces = [("faces", frame(HOP + 40 * MS, {0: "happy"})), ("faces", frame(HOP + SETTLING, {0: "happy"}))]
    speech = [("speech", window(HOP)), ("speech", watermark(2 * HOP))]
    late, early = run_stage(Fusion(), faces + speech), run_stage(Fusion(), speech + faces)
    for outputs in (late, early):
        assert said(outputs) == [(HOP + 40 * MS, "face", ""), (HOP + SETTLING, "face", "voice")]


@pytest.mark.parametrize("faces_end_first", [False, True])
def test_a_window_that_ended_just_before_the_last_face_is_counted(faces_end_first: bool) -> None:
    fusion = Fusion()
    faces = [("faces", frame(HOP + 40 * MS, {0: "happy"})), ("faces", eos())]
    speech = [("speech", window(HOP)), ("speech", eos())]
    outputs = run_stage(fusion, faces + speech if faces_end_first else speech + faces)
    assert said(outputs) == [(HOP + 40 * MS, "face", "")]
    assert fusion.counters["windows_superseded"] == 1


def test_a_promise_of_speech_lets_frames_through_at_once() -> None:
    async def scenario() -> None:
        async with StageHarness(Fusion()) as stage:
            await stage.send("speech", watermark(HOP))
            for number in range(5):
                await stage.send("faces", frame(number * FRAME, {0: "happy"}))
                assert len(said(stage.outputs)) == number + 1

    run(scenario())


@pytest.mark.parametrize("port", ["faces", "speech"])
def test_one_input_alone_is_enough(port: str) -> None:
    message = frame(HOP, {0: "happy"}) if port == "faces" else window(HOP)
    outputs = run_stage(Fusion(), [(port, message)], connect=[port])
    assert said(outputs) == [(HOP, "face", "") if port == "faces" else (HOP, "voice", "voice")]


def test_an_input_that_ends_without_a_word_is_waited_for_no_more() -> None:
    outputs = run_stage(Fusion(), [("faces", frame(0, {0: "happy"})), ("speech", eos())])
    assert said(outputs) == [(0, "face", "")]
    outputs = run_stage(Fusion(), [("speech", window(HOP)), ("faces", eos())])
    assert said(outputs) == [(HOP, "voice", "voice")]


def test_the_last_window_after_the_last_frame_is_flushed() -> None:
    """The face was in view to the end of the video, and the sound's last hop ends after it."""
    script = [("faces", frame(HOP - FRAME, {0: "happy"})), ("speech", window(HOP, end=HOP - FRAME // 2))]
    outputs = run_stage(Fusion(), script)
    assert said(outputs) == [(HOP - FRAME, "face", ""), (HOP, "voice", "voice")]


def test_gaps_of_both_inputs_are_passed_on_in_order() -> None:
    script = [("speech", gap(HOP, HOP)), ("faces", gap(0, HOP)), ("speech", gap(2 * HOP, HOP)), ("faces", frame(HOP))]
    outputs = run_stage(Fusion(), script)
    assert [(message.pts, message.duration) for message in outputs.gaps("emotions")] == [
        (0, HOP),
        (HOP, HOP),
        (2 * HOP, HOP),
    ]


def test_streams_are_joined_apart() -> None:
    script = [
        ("faces", frame(HOP, {0: "happy"}, stream="a")),
        ("speech", window(HOP, stream="b")),
        ("faces", frame(HOP, {0: "sad"}, stream="b")),
    ]
    outputs = run_stage(Fusion(PROMPT), script)
    assert said(outputs, "a") == [(HOP, "face", "")]
    assert said(outputs, "b") == [(HOP, "face", "voice")]


def test_a_result_keeps_time_duration_and_trace_of_its_frame() -> None:
    outputs = run_stage(Fusion(), [("speech", window(HOP)), ("faces", frame(HOP, {0: "happy"}))])
    (message,) = outputs.data("emotions")
    assert (message.pts, message.duration) == (HOP, FRAME)
    assert [hop.stage for hop in message.trace] == ["fusion"]


def test_when_time_jumps_what_waits_is_dropped_and_counted() -> None:
    async def scenario() -> None:
        fusion = Fusion()
        async with StageHarness(fusion) as stage:
            await stage.send("speech", window(HOP))
            await stage.send("speech", eos())
            await stage.send("faces", frame(HOP - FRAME, {0: "happy"}))
            await stage.send("faces", frame(0, {0: "sad"}, epoch=1))
            await stage.send("speech", eos(epoch=1))
            assert fusion.counters["stale"] == 1  # the window, which no frame had followed
            assert said(stage.outputs) == [(HOP - FRAME, "face", ""), (0, "face", "")]
            assert stage.outputs.payloads("emotions")[-1].faces[0].emotion == "sad"

    run(scenario())


def test_a_trained_network_fuses(tmp_path: Path) -> None:
    path = fusion_weights(tmp_path / "fusion.safetensors")
    state, card = checkpoint.load(path, "fusion")
    checkpoint.save(path, state, msgspec.structs.replace(card, selective=[Selection(0.3, 1.0, 0.01)]))
    stage = Fusion(Fusion.Settings(method="decision", weights=str(path), settling=0))
    assert str(path.resolve()) in stage.settings.loads()
    outputs = run_stage(stage, [("speech", window(HOP)), ("faces", frame(HOP, {0: "happy"}))])
    (result,) = outputs.payloads("emotions")
    assert result.faces[0].uncertain  # the table asks for a confidence of 1
    assert sum(result.faces[0].probabilities.values()) == pytest.approx(1)
    assert result.voice.weight + result.faces[0].face.weight == pytest.approx(1)


def test_a_risk_that_cannot_be_promised_is_an_error(tmp_path: Path) -> None:
    path = fusion_weights(tmp_path / "fusion.safetensors")
    with pytest.raises(ModelError, match="no table of risks"):
        run_stage(Fusion(Fusion.Settings(method="decision", weights=str(path))), [("speech", window(HOP))])
    never = Fusion(Fusion.Settings(method="decision", weights=str(path), risk=1.0))
    assert not run_stage(never, [("speech", window(HOP))]).payloads("emotions")[0].alone.uncertain


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"method": "pool", "weights": __file__}, "the pool has none; leave them out"),
        ({"method": "feature", "weights": "gone.safetensors"}, "gone.safetensors: no such file; train it with"),
    ],
)
def test_weights_that_cannot_be_used_are_refused_beforehand(table: dict[str, Any], message: str) -> None:
    ((key, problem),) = Fusion.Settings(**table).check()
    assert key == "weights"
    assert message in problem


@pytest.mark.parametrize(
    ("table", "key"),
    [
        ({"face_weight": 0.0, "voice_weight": 0.0}, "face_weight"),
        ({"smoothing": 3.0, "forget": 1.0}, "forget"),
        ({"settling": 0.5, "hold": 0.5}, "settling"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(table: dict[str, Any], key: str) -> None:
    assert [problem for problem, _ in Fusion.Settings(**table).check()] == [key]
    assert Fusion.Settings().check() == []


steps = st.lists(
    st.tuples(st.sampled_from(["face", "nobody", "window", "silence"]), st.integers(1, 3)), min_size=1, max_size=20
)


def scripts_of(steps: list[tuple[str, int]]) -> dict[str, list[Message]]:
    """Both inputs, with promises between the messages."""
    faces: list[Message] = []
    speech: list[Message] = []
    at = {"faces": 0, "speech": 0}
    for kind, step in steps:
        if kind in ("face", "nobody"):
            at["faces"] += step * 70 * MS
            faces.append(frame(at["faces"], {0: "happy"} if kind == "face" else {}))
        else:
            at["speech"] += step * HOP
            speech.append(window(at["speech"]) if kind == "window" else gap(at["speech"], HOP))
            speech.append(watermark(at["speech"] + HOP))
    return {"faces": [*faces, eos()], "speech": [*speech, eos()]}


@settings(max_examples=25, deadline=None)
@given(steps, st.integers(0, 2**32))
def test_the_same_messages_give_the_same_results_in_any_interleaving(steps: list[tuple[str, int]], seed: int) -> None:
    chance = Random(seed)

    def once() -> list[bytes]:
        scripts = {port: list(messages) for port, messages in scripts_of(steps).items()}
        send = []
        while left := [port for port in scripts if scripts[port]]:
            port = chance.choice(left)
            send.append((port, scripts[port].pop(0)))
        outputs = run_stage(Fusion(), send)
        times = [message.pts for message in outputs.messages["emotions"] if message.kind in ("data", "gap")]
        assert times == sorted(times)
        return [
            msgspec.json.encode((message.kind, message.seq, message.pts, message.payload))
            for message in outputs.messages["emotions"]
            if message.kind in ("data", "gap")
        ]

    first = once()
    assert once() == once() == first
    frames = sum(kind in ("face", "nobody") for kind, _ in steps)
    assert len([line for line in first if b'"source":"face"' in line]) == frames


def test_no_result_says_that_the_stream_has_ended() -> None:
    outputs = run_stage(Fusion(), [("speech", window(HOP))])
    assert [message.watermark < FOREVER for message in outputs.data("emotions")] == [True]
