"""Results of other makers' models: emotions are fused, other labels stand by themselves, and no promise is kept up."""

from collections.abc import Sequence

import pytest

from emopipe.models.labels import FACE, SPEECH
from emopipe.pipeline.message import Message
from emopipe.pipeline.testing import eos, run_stage
from emopipe.stages.fusion.stage import Fusion
from emopipe.stages.types import Emotions
from tests.support.emotion_messages import FRAME, HOP, frame, over, window

LATER = HOP + 10 * FRAME  # when a window that ended at HOP has settled
OWN = ["bored", "engaged", "confused"]


def faces(pts: int, labels: Sequence[str], label: str, share: float = 0.8) -> Message:
    message = frame(pts, {0: "happy"})
    message.payload.labels = list(labels)
    message.payload.faces[0].probabilities = over(tuple(labels), label, share)
    return message


def voice(pts: int, labels: Sequence[str], label: str, share: float = 0.8) -> Message:
    message = window(pts)
    message.payload.labels = list(labels)
    message.payload.probabilities = over(tuple(labels), label, share)
    return message


def fused(*sent: tuple[str, Message], **settings: float) -> tuple[list[Emotions], list[str]]:
    ends = [(port, eos()) for port in ("speech", "faces")]
    outputs = run_stage(Fusion(Fusion.Settings(**settings)), [*sent, *ends])  # type: ignore[arg-type]
    return outputs.payloads("emotions"), outputs.warnings


def test_labels_that_are_no_emotions_stand_by_themselves_beside_the_voice() -> None:
    sent = [("speech", window(HOP, "angry")), ("faces", faces(LATER, OWN, "engaged"))]
    (result,), warnings = fused(*sent)
    (face,) = result.faces
    assert face.probabilities == pytest.approx({"bored": 0.1, "engaged": 0.8, "confused": 0.1})
    assert (face.emotion, face.face.weight, face.face.probabilities) == ("engaged", 1.0, face.probabilities)
    assert result.voice is not None
    assert (set(result.voice.probabilities), result.voice.weight) == (set(FACE), 0.0)
    assert [text for text in warnings if '"bored", "engaged" and "confused"' in text and "are not fused" in text]


def test_a_voice_with_other_labels_leaves_the_face_alone() -> None:
    sent = [("speech", voice(HOP, OWN, "bored")), ("faces", frame(LATER, {0: "happy"}))]
    (result,), _ = fused(*sent)
    (alone,), _ = fused(("faces", frame(LATER, {0: "happy"})))
    assert result.faces[0].probabilities == alone.faces[0].probabilities
    assert result.voice is not None
    assert result.voice.probabilities == pytest.approx({"bored": 0.8, "engaged": 0.1, "confused": 0.1})


def test_a_voice_alone_speaks_in_its_own_labels() -> None:
    (result,), _ = fused(("speech", voice(HOP, OWN, "confused")))
    assert result.alone is not None
    assert (result.alone.emotion, set(result.alone.probabilities)) == ("confused", set(OWN))


@pytest.mark.parametrize("method", ["pool", "decision"])
def test_emotions_of_another_model_are_fused_as_others(method: str) -> None:
    plain = [("speech", window(HOP, "angry")), ("faces", frame(LATER, {0: "happy"}))]
    (known,), none = fused(*plain, method=method)  # type: ignore[arg-type]
    sent = [("speech", voice(HOP, SPEECH, "angry")), ("faces", faces(LATER, FACE, "happy"))]
    (other,), warnings = fused(*sent, method=method)  # type: ignore[arg-type]
    assert other.faces[0].probabilities == known.faces[0].probabilities
    assert other.faces[0].face.weight < 1
    assert none == []
    assert len(warnings) == 2
    assert all("is not promised" in text for text in warnings)


@pytest.mark.parametrize(("share", "uncertain"), [(0.69, True), (0.71, False)])
def test_of_another_model_a_confidence_is_taken_as_it_is(share: float, uncertain: bool) -> None:
    (result,), _ = fused(("faces", faces(HOP, FACE, "happy", share)), risk=0.3, method="pool")  # type: ignore[arg-type]
    assert (result.faces[0].face.uncertain, result.faces[0].uncertain) == (uncertain, uncertain)
    (result,), _ = fused(("speech", voice(HOP, OWN, "bored", share)), risk=0.3)
    assert result.alone is not None
    assert result.alone.uncertain == uncertain


def test_other_labels_are_smoothed_too() -> None:
    sent = [("faces", faces(number * FRAME, OWN, "bored" if number < 8 else "engaged")) for number in range(9)]
    results, _ = fused(*sent, smoothing=1.0)
    assert results[-1].faces[0].face.probabilities["engaged"] == pytest.approx(0.8)
    assert results[-1].faces[0].emotion == "bored"
