"""What LSL is given of one stream: numbers, a sample for each face of each result, and the results as text."""

import socket
from typing import Any

import msgspec

import emopipe
from emopipe.models.labels import FACE
from emopipe.pipeline.message import Message
from emopipe.stages.sinks.records import record
from emopipe.stages.sinks.table import Row, rows

CHANNELS: dict[str, str] = {
    "face": "id",
    **dict.fromkeys(("left", "top", "width", "height"), "part of the frame"),
    **dict.fromkeys(FACE, "probability"),
    "confidence": "probability",
    "uncertain": "0 or 1",
    "speaking": "probability",
    "voice_confidence": "probability",
    "voice_age_s": "seconds",
    "forced": "0 or 1",
}
"""The columns of a row (docs/formats.md) that are numbers, and their units."""

NUMBERS_TYPE, RESULTS_TYPE = "Emotions", "EmotionResults"
MAX_NAME_CHARS = 200


class StreamOutlets:
    """The two outlets of one stream; LSL shows them as `NAME` and `NAME results`.

    Args:
        pylsl: the library.
        name: as LSL is to show it.
        source: what tells them from others for good, so that inlets find them again after a restart.
    """

    def __init__(self, pylsl: Any, name: str, source: str) -> None:
        self._encoder = msgspec.json.Encoder()
        self._numbers = pylsl.StreamOutlet(_numbers_info(pylsl, name, source))
        text = _info(pylsl, f"{name} results", RESULTS_TYPE, 1, pylsl.cf_string, f"{source}/results")
        self._results = pylsl.StreamOutlet(text)

    def push(self, message: Message, at: float) -> None:
        """Send a result at `at` (s of LSL's clock); never waits."""
        for row in rows(message.stream, message.pts, message.duration, message.payload):
            self._numbers.push_sample(sample(row), at)
        self._results.push_sample([self._encoder.encode(record(message)).decode()], at)

    @property
    def heard(self) -> bool:
        """Whether anybody listens to any of them."""
        return bool(self._numbers.have_consumers() or self._results.have_consumers())

    def wait(self, seconds: float) -> bool:
        """Whether somebody has come to listen to the numbers within that time."""
        return bool(self._numbers.wait_for_consumers(seconds))

    def close(self) -> None:
        """Take them from the network; what nobody has fetched is lost."""
        del self._numbers, self._results


def sample(row: Row) -> list[float]:
    """A row as numbers; NaN where it has nothing to say."""
    return [float("nan") if row[name] is None else float(row[name]) for name in CHANNELS]


def source_id(label: str, stream: str) -> str:
    """What tells a stream of a stage on this machine from all others, run after run."""
    return f"emopipe/{socket.gethostname()}/{label}/{stream}"


def _numbers_info(pylsl: Any, name: str, source: str) -> Any:
    info = _info(pylsl, name, NUMBERS_TYPE, len(CHANNELS), pylsl.cf_double64, source)
    channels = info.desc().append_child("channels")
    for label, unit in CHANNELS.items():
        channel = channels.append_child("channel")
        channel.append_child_value("label", label)
        channel.append_child_value("unit", unit)
        channel.append_child_value("type", NUMBERS_TYPE)
    return info


def _info(pylsl: Any, name: str, kind: str, channels: int, channel_format: int, source: str) -> Any:
    info = pylsl.StreamInfo(name, kind, channels, pylsl.IRREGULAR_RATE, channel_format, source)
    made = info.desc().append_child("acquisition")
    made.append_child_value("manufacturer", "emopipe")
    made.append_child_value("version", emopipe.__version__)
    return info
