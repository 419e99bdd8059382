"""Another maker's model for voices in a graph: what it hears, and its labels."""

from pathlib import Path

import numpy as np
import pytest

from emopipe.models.calibration import softmax
from emopipe.models.labels import SPEECH
from emopipe.pipeline.message import Message
from emopipe.pipeline.testing import data, gap, run_stage
from emopipe.stages.speech.onnx import OnnxSpeechInference
from emopipe.stages.types import SpeechEmotion, SpeechWindow
from tests.support.onnx_models import onnx_model

WEIGHTS = [[4.0, -4.0, 2.0]]


def window(level: float, pts: int = 500) -> Message:
    heard = SpeechWindow(
        start=0,
        end=pts,
        mfcc=np.zeros((30, 40), np.float32),
        audio=np.full(4000, level, np.float32),
        voiced=0.9,
        level=-20.0,
    )
    return data(heard, pts)


def results(stage: OnnxSpeechInference, *sent: Message) -> list[SpeechEmotion]:
    found: list[SpeechEmotion] = run_stage(stage, [("windows", message) for message in sent]).payloads("emotions")
    return found


def test_the_sound_is_heard_and_the_labels_are_the_models(tmp_path: Path) -> None:
    labels = ["tense", "relaxed", "bored"]
    path = onnx_model(tmp_path / "own.onnx", (1, "T"), labels, over=(1,), weights=WEIGHTS)
    found = results(OnnxSpeechInference(OnnxSpeechInference.Settings(model=str(path))), window(0.5), window(-0.5, 1000))
    for result, level in zip(found, (0.5, -0.5), strict=True):
        assert result.labels == labels
        np.testing.assert_allclose(result.probabilities, softmax([level * np.array(WEIGHTS[0])])[0], atol=1e-6)
    assert (found[0].start, found[0].end, found[0].voiced) == (0, 500, 0.9)


def test_emotions_come_in_the_order_of_the_others(tmp_path: Path) -> None:
    path = onnx_model(tmp_path / "own.onnx", (1, 4000), ["anger", "fear", "calm"], over=(1,), weights=WEIGHTS)
    (result,) = results(OnnxSpeechInference(OnnxSpeechInference.Settings(model=str(path))), window(1.0))
    expected = dict(zip(("angry", "fearful", "calm"), softmax(np.array(WEIGHTS))[0], strict=True))
    assert result.labels == list(SPEECH)
    np.testing.assert_allclose(result.probabilities, [expected.get(label, 0.0) for label in SPEECH], atol=1e-6)


def test_silence_stays_in_its_place(tmp_path: Path) -> None:
    path = onnx_model(tmp_path / "own.onnx", (1, "T"), over=(1,))
    stage = OnnxSpeechInference(OnnxSpeechInference.Settings(model=str(path)))
    outputs = run_stage(stage, [("windows", window(0.1)), ("windows", gap(1000, 500))])
    assert [message.pts for message in outputs.gaps("emotions")] == [1000]


@pytest.mark.parametrize(("shape", "problem"), [((1, "T"), ""), (("N", 1, 64, 64), "takes no windows of speech")])
def test_a_model_of_another_shape_is_told_before_anything_runs(
    tmp_path: Path, shape: tuple[int | str, ...], problem: str
) -> None:
    path = onnx_model(tmp_path / "own.onnx", shape)
    problems = OnnxSpeechInference.Settings(model=str(path)).check()
    assert [problem in text for _, text in problems] == ([True] if problem else [])
