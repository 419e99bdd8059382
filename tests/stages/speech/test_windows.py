import asyncio
import itertools
import subprocess
import sys

import numpy as np
import pytest

from emopipe.models.speech.windower import SpeechWindower, Window
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.message import Message
from emopipe.pipeline.testing import StageHarness, data, gap, run_stage
from emopipe.stages.speech.windows import SpeechWindows
from emopipe.stages.types import AudioBlock, SpeechWindow
from tests.support.voices import RATE, Floats, silence, voice

HOP = SECOND // 2
MS = 1_000_000
SOUND = np.concatenate([silence(1.0), voice(1.6), silence(1.2, 1), voice(0.6, 180), silence(0.23, 2)])


def blocks(sound: Floats, size: int = 1024, *, start: int = 0, stream: str = "test", epoch: int = 0) -> list[Message]:
    messages = []
    for begin in range(0, len(sound), size):
        samples = sound[begin : begin + size]
        pts = start + begin * SECOND // RATE
        duration = len(samples) * SECOND // RATE
        block = AudioBlock(samples=samples)
        messages.append(data(block, pts, stream=stream, duration=duration, watermark=pts + duration, epoch=epoch))
    return messages


def send(messages: list[Message]) -> list[tuple[str, Message]]:
    return [("audio", message) for message in messages]


def test_windows_and_gaps_account_for_every_hop_and_sample() -> None:
    stage = SpeechWindows()
    outputs = run_stage(stage, send(blocks(SOUND)))
    messages = [m for m in outputs.messages["windows"] if m.kind in ("data", "gap")]
    assert [m.pts for m in messages] == [HOP * (n + 1) for n in range(10)]
    assert {m.duration for m in messages} == {HOP}
    assert stage.counters["samples"] == len(SOUND)
    assert stage.counters["windows"] == len(outputs.data("windows"))
    assert stage.counters["silent_hops"] == len(outputs.gaps("windows"))
    assert stage.counters["windows"] + stage.counters["silent_hops"] == 10


def test_its_windows_are_those_of_the_windower() -> None:
    windower = SpeechWindower()
    expected = [event for event in windower.push(SOUND, 0) + windower.flush() if isinstance(event, Window)]
    found = run_stage(SpeechWindows(), send(blocks(SOUND))).data("windows")
    assert [m.pts for m in found] == [window.pts for window in expected]
    for message, window in zip(found, expected, strict=True):
        payload = message.payload
        assert isinstance(payload, SpeechWindow)
        assert (payload.start, payload.end, payload.voiced) == (window.start, window.end, window.voiced)
        assert payload.level == window.level
        assert np.array_equal(payload.mfcc, window.mfcc)


@pytest.mark.parametrize("size", [160, 777, 40_000])
def test_the_blocks_do_not_matter(size: int) -> None:
    def results(messages: list[Message]) -> list[tuple[int, int, bytes]]:
        found = run_stage(SpeechWindows(), send(messages)).data("windows")
        return [(m.pts, m.payload.end, m.payload.mfcc.tobytes()) for m in found]

    assert results(blocks(SOUND, size)) == results(blocks(SOUND))


async def _watermarks() -> list[tuple[int, int]]:
    found = []
    async with StageHarness(SpeechWindows()) as harness:
        for number, message in enumerate(blocks(SOUND, 8000)):
            await harness.send("audio", message)
            found.append((number + 1, harness.outputs.messages["windows"][-1].watermark // HOP))
    return found


def test_the_next_point_is_promised_at_once_in_speech_and_in_silence() -> None:
    full_hops = len(SOUND) // 8000
    assert asyncio.run(_watermarks())[:full_hops] == [(n, n + 1) for n in range(1, full_hops + 1)]


def test_streams_do_not_mix() -> None:
    other = np.concatenate([silence(0.4), voice(2.0, 200)])
    mixed = list(
        itertools.chain.from_iterable(
            pair for pair in itertools.zip_longest(blocks(SOUND), blocks(other, stream="other"))
        )
    )
    outputs = run_stage(SpeechWindows(), send([message for message in mixed if message is not None]))
    for stream, sound in (("test", SOUND), ("other", other)):
        alone = run_stage(SpeechWindows(), send(blocks(sound, stream=stream)))
        together = [(m.pts, m.payload.mfcc.tobytes()) for m in outputs.data("windows", stream)]
        assert together == [(m.pts, m.payload.mfcc.tobytes()) for m in alone.data("windows", stream)]


def test_a_gap_in_the_sound_flushes_what_is_held_and_moves_the_watermark_past_it() -> None:
    speech = np.concatenate([silence(0.3), voice(0.4)])
    hole = gap(700 * MS, 10 * SECOND, watermark=10_700 * MS)
    outputs = run_stage(SpeechWindows(), send([*blocks(speech), hole, *blocks(speech, start=10_700 * MS)]))
    assert [(m.pts, m.payload.end) for m in outputs.data("windows")] == [
        (HOP, HOP),
        (2 * HOP, 700 * MS),
        (23 * HOP, 11_400 * MS),
    ]
    assert [(m.pts, m.duration) for m in outputs.gaps("windows")] == [(3 * HOP, 19 * HOP), (22 * HOP, HOP)]


def test_lost_sound_is_counted() -> None:
    stage = SpeechWindows()
    run_stage(stage, send([*blocks(SOUND[:16000]), *blocks(SOUND[:16000], start=3 * SECOND)]))
    assert stage.counters["lost_samples"] == 32000
    assert stage.counters["samples"] == 32000


def test_a_new_epoch_starts_over() -> None:
    outputs = run_stage(SpeechWindows(), send([*blocks(SOUND), *blocks(SOUND, epoch=1)]))
    first = [(m.pts, m.payload.mfcc.tobytes()) for m in outputs.data("windows") if m.epoch == 0]
    second = [(m.pts, m.payload.mfcc.tobytes()) for m in outputs.data("windows") if m.epoch == 1]
    assert first == second[: len(first)]
    assert len(second) >= len(first)


def test_no_sound_at_all() -> None:
    outputs = run_stage(SpeechWindows(), [])
    assert outputs.data("windows") == []


def test_a_window_shorter_than_its_hop_is_refused() -> None:
    settings = SpeechWindows.Settings(window=0.4, hop=0.5)
    assert settings.check() == [
        ("window", "0.4 s is shorter than hop (0.5 s): sound would go unheard"),
    ]
    assert SpeechWindows.Settings().check() == []


def test_importing_the_stage_does_not_import_torch() -> None:
    heavy = "{'torch', 'webrtcvad'}"
    code = f"import emopipe.stages.speech.windows, sys; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"
