"""Recordings of messages for tests: small ones that are written here, and their bytes to break."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.message import Message, Payload
from emopipe.pipeline.testing import data, eos, gap, watermark
from emopipe.stages.messages.writer import RecordingWriter
from emopipe.stages.types import FaceEmotions, SpeechEmotion
from tests.support.emotion_messages import FRAME, HOP, frame, window


class Sample(Payload):
    """A number with what was heard of it."""

    value: float
    heard: NDArray[np.float32]
    note: str = ""


def sample(value: float, note: str = "") -> Sample:
    return Sample(value=value, heard=np.full(3, value, np.float32), note=note)


def everything(stream: str = "cam") -> list[Message]:
    """One of each kind, over two epochs of a stream."""
    return [
        data(sample(1), pts=0, stream=stream, duration=5),
        gap(10, 10, stream=stream),
        watermark(30, stream=stream),
        eos(stream),
        data(sample(2, "again"), pts=3, stream=stream, epoch=1),
        eos(stream, epoch=1),
    ]


def write_recording(
    path: Path, messages: Mapping[str, Sequence[Message]], types: Mapping[str, type[Payload]] | None = None
) -> Path:
    """A whole recording of `messages` by channel, a millisecond apart; of `Sample` where no type is given."""
    writer = RecordingWriter(str(path), types or dict.fromkeys(messages, Sample))
    log_time = 1_700_000_000_000_000_000
    for channel, sent in messages.items():
        for message in sent:
            writer.write(channel, message, log_time)
            log_time += 1_000_000
    writer.finish()
    return path


def write_field(path: Path) -> Path:
    """Faces and a voice as they were recorded in the field: four seconds of what fusion takes."""
    faces = [frame(n * FRAME, {0: "happy", 1: "sad"} if n % 9 else {}) for n in range(100)]
    voice = [window((n + 2) * HOP, "angry" if n % 2 else "calm") for n in range(6)]
    return write_recording(
        path,
        {"facial.emotions": faces, "speech.emotions": voice},
        {"facial.emotions": FaceEmotions, "speech.emotions": SpeechEmotion},
    )
