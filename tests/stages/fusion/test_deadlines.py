"""Fusion live: nobody waits for longer than the budget, or for an input that is silent."""

import asyncio

from emopipe.pipeline.clock import MS, SECOND, settle
from emopipe.pipeline.testing import StageHarness, eos, gap, watermark
from emopipe.stages.fusion.stage import Fusion
from tests.support.emotion_messages import FRAME, HOP, frame, said, window

BUDGET = 300 * MS
IDLE = 2 * SECOND
PROMPT = Fusion.Settings(settling=0)  # a window counts for a face from its very end on


def test_live_a_frame_past_its_budget_is_forced() -> None:
    async def scenario() -> None:
        fusion = Fusion(PROMPT)
        async with StageHarness(fusion, mode="live") as stage:
            await stage.send("faces", frame(HOP, {0: "happy"}))
            await stage.clock.advance(BUDGET - 1)
            assert said(stage.outputs) == []
            await stage.clock.advance(1)
            assert said(stage.outputs) == [(HOP, "face", "")]
            assert stage.outputs.payloads("emotions")[0].forced
            await stage.send("speech", gap(HOP // 2, HOP // 2))  # silence that is late is no window that is
            await stage.send("speech", window(HOP))
            assert fusion.counters["late_speech"] == 1
            await stage.send("faces", frame(HOP + FRAME, {0: "happy"}))
            await stage.clock.advance(BUDGET)
            assert said(stage.outputs)[1:] == [(HOP + FRAME, "face", "voice")]  # late, but known by now

    asyncio.run(scenario())


def test_live_a_silent_voice_is_not_waited_for() -> None:
    async def scenario() -> None:
        async with StageHarness(Fusion(PROMPT), mode="live") as stage:
            await stage.send("faces", frame(0, {0: "happy"}))
            await stage.clock.advance(IDLE)
            for number in range(1, 4):
                await stage.send("faces", frame(number * FRAME, {0: "happy"}))
                assert len(said(stage.outputs)) == number + 1
            assert [result.forced for result in stage.outputs.payloads("emotions")] == [True, False, False, False]
            await stage.send("speech", watermark(4 * FRAME))
            await stage.send("faces", frame(4 * FRAME, {0: "happy"}))
            assert len(said(stage.outputs)) == 4  # it speaks again, so it is waited for again

    asyncio.run(scenario())


def test_live_a_voice_without_frames_is_not_held_for_longer_than_idle() -> None:
    async def scenario() -> None:
        async with StageHarness(Fusion(), mode="live") as stage:
            await stage.send("faces", frame(0, {0: "happy"}))
            await stage.send("speech", window(HOP))
            assert said(stage.outputs) == [(0, "face", "")]
            await stage.clock.advance(IDLE)
            assert said(stage.outputs)[1:] == [(HOP, "voice", "voice")]
            await stage.send("speech", window(2 * HOP))
            assert said(stage.outputs)[2:] == [(2 * HOP, "voice", "voice")]  # the camera is silent by now

    asyncio.run(scenario())


def test_live_a_frozen_camera_that_moves_again_is_fused_again() -> None:
    async def scenario() -> None:
        async with StageHarness(Fusion(PROMPT), mode="live") as stage:
            await stage.send("faces", frame(0, {0: "happy"}))
            await stage.clock.advance(IDLE)
            await stage.send("speech", window(HOP))
            assert said(stage.outputs)[1:] == [(HOP, "voice", "voice")]  # at once: nobody waits for a frozen camera
            await stage.send("faces", frame(HOP + FRAME, {0: "happy"}))
            await stage.send("speech", watermark(2 * HOP))
            assert said(stage.outputs)[2:] == [(HOP + FRAME, "face", "voice")]
            assert stage.stage.counters["late_faces"] == 0

    asyncio.run(scenario())


def test_live_an_input_that_had_ended_and_is_back_is_fused_again() -> None:
    async def scenario() -> None:
        async with StageHarness(Fusion(PROMPT), mode="live") as stage:
            await stage.send("speech", window(HOP))
            await stage.send("faces", frame(HOP, {0: "happy"}))
            await stage.send("faces", eos())
            await stage.send("speech", window(2 * HOP))
            await stage.send("faces", frame(3 * HOP, {0: "happy"}))
            await stage.send("speech", window(3 * HOP))
            await stage.send("speech", watermark(3 * HOP + 1))
            expected = [(HOP, "face", "voice"), (2 * HOP, "voice", "voice"), (3 * HOP, "face", "voice")]
            assert said(stage.outputs) == expected

    asyncio.run(scenario())


def test_live_each_stream_has_deadlines_of_its_own_and_counts_what_they_forced() -> None:
    async def scenario() -> None:
        fusion = Fusion(PROMPT)
        async with StageHarness(fusion, mode="live") as stage:
            for number in range(5):
                await stage.send("faces", frame(HOP, {0: "happy"}, stream=f"s{number}"))
                await stage.clock.advance(BUDGET // 10)
            await stage.clock.advance(BUDGET // 2 - 1)
            assert stage.outputs.data("emotions") == []
            for number in range(5):
                await stage.clock.advance(1 if number == 0 else BUDGET // 10)
                assert [m.stream for m in stage.outputs.data("emotions")] == [f"s{each}" for each in range(number + 1)]
            await stage.send("speech", window(HOP, stream="s3"))
            counts = fusion.stream_counters.snapshot()
            assert {stream: counts[stream]["forced"] for stream in counts} == {f"s{number}": 1 for number in range(5)}
            assert counts["s3"]["late_speech"] == 1
            assert "late_speech" not in counts["s2"]

    asyncio.run(scenario())


def test_live_the_watermark_moves_when_a_deadline_passes() -> None:
    async def scenario() -> None:
        async with StageHarness(Fusion(PROMPT), mode="live") as stage:
            await stage.send("faces", frame(HOP, {0: "happy"}))
            await stage.clock.advance(IDLE)
            await settle()
            assert max(message.watermark for message in stage.outputs.messages["emotions"]) == HOP + 1

    asyncio.run(scenario())
