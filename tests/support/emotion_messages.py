"""Messages of both inference stages, for the tests of fusion, and what it has said of them."""

from collections.abc import Mapping

import numpy as np

from emopipe.models.envelope import STEP_NS
from emopipe.models.labels import FACE, SPEECH
from emopipe.pipeline.clock import MS
from emopipe.pipeline.message import Message
from emopipe.pipeline.testing import Outputs, data
from emopipe.stages.types import FaceEmotion, FaceEmotions, SpeechEmotion

FRAME = 40 * MS
HOP = 500 * MS


def over(labels: tuple[str, ...], label: str, share: float) -> list[float]:
    return [share if each == label else (1 - share) / (len(labels) - 1) for each in labels]


def frame(
    pts: int,
    faces: Mapping[int, str] | None = None,
    *,
    share: float = 0.8,
    quality: float = 1.0,
    mouths: Mapping[int, float] | None = None,
    watermark: int | None = None,
    stream: str = "test",
    epoch: int = 0,
) -> Message:
    """A frame with `faces` by id, each showing a label; `mouths` says how fast theirs move."""
    found = [
        FaceEmotion(
            id=number,
            box=(0.1, 0.2, 0.3, 0.4),
            score=0.9,
            quality=quality,
            probabilities=over(FACE, label, share),
            mouth=(mouths or {}).get(number),
        )
        for number, label in (faces or {}).items()
    ]
    return data(FaceEmotions(faces=found), pts, duration=FRAME, watermark=watermark, stream=stream, epoch=epoch)


def window(
    pts: int,
    label: str = "sad",
    *,
    share: float = 0.8,
    voiced: float = 1.0,
    watermark: int | None = None,
    end: int | None = None,
    stream: str = "test",
    epoch: int = 0,
) -> Message:
    """A window of a second and a half that ends at `pts` unless the sound stopped before, at `end`."""
    spoken = SpeechEmotion(
        start=max(0, pts - 3 * HOP),
        end=pts if end is None else end,
        voiced=voiced,
        level=-20.0,
        probabilities=over(SPEECH, label, share),
        envelope=np.full(HOP // STEP_NS, -20, np.float32),
    )
    return data(spoken, pts, duration=HOP, watermark=watermark, stream=stream, epoch=epoch)


def said(outputs: Outputs, stream: str | None = None) -> list[tuple[int, str, str]]:
    """Each result as (pts, source, whether a voice takes part)."""
    return [
        (message.pts, message.payload.source, "voice" if message.payload.voice else "")
        for message in outputs.data("emotions", stream)
    ]
