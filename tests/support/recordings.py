"""Recordings of messages for tests: small ones that are written here, and their bytes to break."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.message import Message, Payload
from emopipe.pipeline.testing import data, eos, gap, watermark
from emopipe.stages.messages.writer import RecordingWriter


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
