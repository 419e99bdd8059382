"""The speech inference stage with a real network: the same bits whatever the batch, silence in its place."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from emopipe.models.labels import SPEECH
from emopipe.models.speech.features import MfccSpec
from emopipe.models.speech.model import SpeechModel
from emopipe.pipeline.clock import MS
from emopipe.pipeline.errors import ModelError
from emopipe.pipeline.message import Message
from emopipe.pipeline.testing import StageHarness, data, gap, run_stage
from emopipe.stages.speech.inference import SpeechInference
from emopipe.stages.types import SpeechEmotion, SpeechWindow
from emopipe.training.speech.non_voices import make
from tests.support.random_weights import speech_weights
from tests.support.voices import voice

HOP = 500 * MS
NO_AUDIO = np.empty(0, np.float32)  # networks on MFCC need none


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speech_weights(tmp_path_factory.mktemp("weights") / "speech.safetensors")


def stage(weights: Path, batch_size: int = 16, speaker_calibration: bool = False) -> SpeechInference:
    settings = SpeechInference.Settings(
        weights=str(weights), device="cpu", batch_size=batch_size, speaker_calibration=speaker_calibration
    )
    return SpeechInference(settings)


def window(pts: int, frames: int) -> Message:
    """A window with so many frames of noise."""
    mfcc = np.random.default_rng(frames).normal(size=(frames, 40)).astype(np.float32)
    payload = SpeechWindow(start=pts - frames * 10 * MS, end=pts, mfcc=mfcc, audio=NO_AUDIO, voiced=0.75, level=-20.0)
    return data(payload, pts, duration=HOP, watermark=pts + HOP)


def test_every_window_gets_a_distribution_and_silence_keeps_its_place(weights: Path) -> None:
    script = [window(HOP, 48), gap(2 * HOP, HOP, watermark=3 * HOP), window(3 * HOP, 1), window(4 * HOP, 298)]
    outputs = run_stage(stage(weights), [("windows", message) for message in script])
    seen = [message for message in outputs.messages["emotions"] if message.kind in ("data", "gap")]
    assert [(message.kind, message.pts, message.duration) for message in seen] == [
        (message.kind, message.pts, HOP) for message in script
    ]
    for sent, got in zip(script, seen, strict=True):
        if sent.kind == "data":
            result: SpeechEmotion = got.payload
            assert (result.start, result.end) == (sent.payload.start, sent.payload.end)
            assert (result.voiced, result.level) == (0.75, -20.0)
            assert len(result.probabilities) == len(SPEECH)
            assert sum(result.probabilities) == pytest.approx(1, abs=1e-6)


def test_the_promise_of_the_next_window_is_passed_on(weights: Path) -> None:
    async def scenario() -> None:
        async with StageHarness(stage(weights)) as speech:
            await speech.send("windows", window(HOP, 48))
            while not speech.outputs.data("emotions"):
                await asyncio.sleep(0.001)  # the stage's thread
            assert speech.outputs.data("emotions")[0].watermark == 2 * HOP

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_the_batch_changes_no_bit(weights: Path) -> None:
    script = [("windows", window(place * HOP, frames)) for place, frames in enumerate([298, 48, 298, 5, 120, 298], 1)]
    results = [run_stage(stage(weights, size), script).payloads("emotions") for size in (1, 16)]
    assert [each.probabilities for each in results[0]] == [each.probabilities for each in results[1]]


def spoken() -> list[tuple[str, Message]]:
    """The windows of an utterance of 2 s, as a stream cuts them: each holds the one before it."""
    mfcc = np.random.default_rng(7).normal(3, 2, (198, 40)).astype(np.float32)
    script = []
    for place in range(1, 5):
        payload = SpeechWindow(
            start=0, end=place * HOP, mfcc=mfcc[: 50 * place - 2], audio=NO_AUDIO, voiced=1.0, level=-20.0
        )
        script.append(("windows", data(payload, place * HOP, duration=HOP, watermark=(place + 1) * HOP)))
    return script


def test_a_speaker_is_learnt_from_each_frame_once_up_to_the_window_itself(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emopipe.models.speech.model.MIN_CLIPS", 0.0)  # in use it takes 50 s of speech
    model = SpeechModel.load(weights, "cpu")
    expected = []
    for _, message in spoken():
        speaker = model.speaker()
        speaker.update(message.payload.mfcc)  # all that was heard so far, for each window holds it all
        expected.append(model.probabilities([speaker.apply(message.payload.mfcc)])[0].tolist())
    plain = run_stage(stage(weights), spoken()).payloads("emotions")
    for size in (1, 16):
        known = run_stage(stage(weights, size, speaker_calibration=True), spoken()).payloads("emotions")
        for got, wanted, stranger in zip(known, expected, plain, strict=True):
            assert got.probabilities == pytest.approx(wanted, abs=1e-6)
            assert got.probabilities != stranger.probabilities


def test_what_is_no_voice_after_all_passes_as_silence() -> None:
    random, script = np.random.default_rng(0), []
    mfcc = np.zeros((198, 40), np.float32)
    for place, sound in enumerate([make("siren", random, 2.0), voice(2.0), make("music", random, 2.0)], 1):
        end = place * 4 * HOP
        payload = SpeechWindow(start=end - 4 * HOP, end=end, mfcc=mfcc, audio=sound, voiced=1.0, level=-20.0)
        script.append(("windows", data(payload, end, duration=HOP, watermark=end + HOP)))
    shipped = SpeechInference(SpeechInference.Settings(device="cpu", min_voice=0.5))
    outputs = run_stage(shipped, script)
    kinds = {message.pts: message.kind for message in outputs.messages["emotions"] if message.kind in ("data", "gap")}
    assert kinds[4 * HOP] == kinds[12 * HOP] == "gap"
    all_let_in = SpeechInference(SpeechInference.Settings(device="cpu", min_voice=0.0))
    assert len(run_stage(all_let_in, script).payloads("emotions")) == 3


def test_weights_for_other_features_are_refused(tmp_path: Path) -> None:
    other = speech_weights(tmp_path / "other.safetensors", MfccSpec(hop=200))
    with pytest.raises(ModelError, match=r"trained on other features than speech-windows makes .*hop=200"):
        run_stage(stage(other))
