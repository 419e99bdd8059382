"""Results for the tests of the lab's formats: a scene of two people, and what sinks make of it."""

from collections.abc import Iterator, Mapping

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.message import Message
from emopipe.pipeline.testing import data, gap
from emopipe.stages.types import Emotions, Marker
from tests.support.factories import make_emotions

FRAME_NS = 33_366_667  # NTSC: no time is a round one


def frame(
    number: int,
    faces: Mapping[int, str] | None = None,
    voice: str | None = None,
    *,
    heard: int = 0,
    alone: Mapping[int, str] | None = None,
    uncertain: bool = False,
    share: float = 0.7,
    stream: str = "test",
) -> Message:
    """The result of the frame `number`; `heard` is where the window of the voice ends (ns), `alone` what faces say by
    themselves where it differs."""
    emotions: Emotions = make_emotions(faces, voice, share=share, source="face")
    for face in emotions.faces:
        face.uncertain = uncertain
        if alone is not None:
            face.face.probabilities = make_emotions({0: alone[face.id]}, share=0.6).faces[0].probabilities
    if emotions.voice is not None:
        emotions.voice.start, emotions.voice.end = max(0, heard - SECOND), heard
    return data(emotions, number * FRAME_NS, duration=FRAME_NS, stream=stream)


def scene(stream: str = "test") -> Iterator[Message]:
    """Four seconds: face 0 is happy, then sad; face 1 comes for a second; from 1 to 3 s an angry voice is heard; at the
    end nothing is sure, and then nobody is there."""
    for number in range(120):
        second = number * FRAME_NS / SECOND
        faces = {} if number >= 110 else {0: "happy" if number < 45 else "sad"}
        if 30 <= number < 60:
            faces[1] = "surprise"
        voice = "angry" if 1.5 <= second < 3.5 else None
        heard = round(second * 2 - 0.5) * SECOND // 2
        yield frame(
            number,
            faces,
            voice,
            heard=heard,
            alone={0: "neutral", 1: "surprise"},
            uncertain=number >= 90,
            share=0.5 if number >= 90 else 0.7,
            stream=stream,
        )
    yield gap(120 * FRAME_NS, 5 * MS, stream=stream)


def expected_segments(messages: list[Message], face: int, *, alone: bool = False) -> list[tuple[str, int, int]]:
    """What a face's tier must hold, said another way: runs of equal labels, with (value, from, to) in ns."""
    found: list[tuple[str, int, int]] = []
    for message in messages:
        if message.kind != "data":
            continue
        for person in message.payload.faces:
            if person.id != face:
                continue
            shares = person.face.probabilities if alone else person.probabilities
            unsure = person.face.uncertain if alone else person.uncertain
            value = max(shares, key=shares.__getitem__) + ("?" if unsure else "")
            end = message.pts + message.duration
            if found and found[-1][0] == value and found[-1][2] == message.pts:
                found[-1] = value, found[-1][1], end
            else:
                found.append((value, message.pts, end))
    return found


def marker(pts: int, value: str, sender: str = "paradigm", *, stream: str = "test") -> tuple[str, Message]:
    """What happened at `pts` (ns), for the port `markers`."""
    return "markers", data(Marker(value=value, sender=sender, sent=pts / SECOND), pts, stream=stream)


MARKERS = (
    marker(40_400_000, "first <b> & ü"),
    marker(500_000_000, "press\n\x00", "keys"),
    marker(40_600_000, "within the ms"),
    marker(41_400_000, "the same ms"),
    marker(1_000_000_000, "dated back after the next"),
    marker(900_000_000, "and the next"),
    marker(5_000_000_000, "after the last result"),
)
