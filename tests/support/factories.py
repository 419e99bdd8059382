"""Results and messages for the tests of sinks."""

from collections.abc import Mapping, Sequence
from typing import Any

from emopipe.models.labels import FACE
from emopipe.pipeline.clock import MS
from emopipe.pipeline.message import Hop, Message
from emopipe.pipeline.testing import data
from emopipe.stages.types import Emotions, FaceGeometry, Modality, PersonEmotion, Voice, VoiceEmotion


def distribution(label: str, share: float = 0.7) -> dict[str, float]:
    """`share` for `label`, the rest in equal parts for the other labels."""
    rest = (1 - share) / (len(FACE) - 1)
    return {each: share if each == label else rest for each in FACE}


def make_emotions(
    faces: Mapping[int, str] | None = None,
    voice: str | None = None,
    *,
    share: float = 0.7,
    forced: bool = False,
    source: str | None = None,
) -> Emotions:
    """A result with `faces` by id and a `voice`, each showing a label; of the frame unless the voice is alone."""
    spoken = distribution(voice, share) if voice is not None else {}
    source = source or ("voice" if voice is not None and not faces else "face")
    return Emotions(
        source=source,
        faces=[
            PersonEmotion(
                id=number,
                box=(0.25, 0.125, 0.5, 0.5),
                emotion=label,
                confidence=share,
                probabilities=distribution(label, share),
                face=Modality(
                    probabilities=distribution(label, share),
                    weight=0.6 if voice is not None else 1.0,
                    age=0,
                    uncertain=False,
                ),
                speaking=0.75 if voice is not None else 0.0,
            )
            for number, label in (faces or {}).items()
        ],
        voice=Voice(probabilities=spoken, weight=0.4, age=40 * MS, uncertain=False, start=0, end=3000 * MS)
        if spoken
        else None,
        alone=VoiceEmotion(emotion=voice, confidence=share, probabilities=spoken)
        if voice is not None and not faces
        else None,
        forced=forced,
    )


def result(
    pts: int = 0,
    faces: Mapping[int, str] | None = None,
    voice: str | None = None,
    *,
    stream: str = "test",
    seq: int = 0,
    duration: int = 0,
    forced: bool = False,
    trace: Sequence[Hop] = (),
) -> Message:
    """A data message with a result, as fusion would send it."""
    message = data(make_emotions(faces, voice, forced=forced), pts, stream=stream, duration=duration)
    message.seq = seq
    message.trace = list(trace)
    return message


def make_geometry(**measures: float) -> FaceGeometry:
    """A face that looks into the camera, but for what is given."""
    straight: dict[str, Any] = dict.fromkeys(FaceGeometry.__struct_fields__, 0.0)
    return FaceGeometry(**straight | {"blinks": 0, "uncertain": False} | measures)
