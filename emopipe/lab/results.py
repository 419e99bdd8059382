"""The results in a JSONL file, and what they say of one person from moment to moment."""

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.text import one_line
from emopipe.stages.sinks.findings import Finding, face_finding, findings, voice_finding
from emopipe.stages.sinks.records import MarkerRecord, ResultRecord
from emopipe.stages.sinks.segments import VoiceTimeline

MAX_LINE_BYTES = 16 << 20
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class Answer(NamedTuple):
    """What a result says of one person: from when to when (ns), and the finding."""

    start: int
    end: int
    finding: Finding


class _Gap(msgspec.Struct):
    """A line that says what is missing."""

    gap: str


def results(file: Path) -> Iterator[ResultRecord]:
    """The results in a file, in order.

    Raises:
        EmopipeError: it is not there, or a line of it is no result.
        OSError: it cannot be read.
    """
    return (line for line in _lines(file) if isinstance(line, ResultRecord))


def markers(file: Path) -> Iterator[MarkerRecord]:
    """The markers among the results in a file, in order.

    Raises:
        EmopipeError: it is not there, or a line of it is no result.
        OSError: it cannot be read.
    """
    return (line for line in _lines(file) if isinstance(line, MarkerRecord))


def _lines(file: Path) -> Iterator[ResultRecord | MarkerRecord | _Gap]:
    if not file.is_file():
        raise EmopipeError(f"{file}: no such file")
    decoder = msgspec.json.Decoder(ResultRecord)
    others: list[msgspec.json.Decoder[_Gap] | msgspec.json.Decoder[MarkerRecord]] = [
        msgspec.json.Decoder(_Gap),
        msgspec.json.Decoder(MarkerRecord),
    ]
    with file.open("rb") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(MAX_LINE_BYTES), b""), 1):
            try:
                yield decoder.decode(line)
            except UNREADABLE as error:
                for other in others:
                    with contextlib.suppress(*UNREADABLE):
                        yield other.decode(line)
                        break
                else:
                    said = one_line(error)
                    raise EmopipeError(f"{file}: line {number} is no result of emopipe's: {said}") from None


def answers(found: Iterable[ResultRecord]) -> dict[str, list[Answer]]:
    """The answers of one stream's results by the tier that files of annotations have for them (docs/formats.md)."""
    made: dict[str, list[Answer]] = {}
    voice = VoiceTimeline()
    for result in found:
        end = result.pts + result.duration
        for finding in findings(result):
            if finding.face is not None:
                made.setdefault(f"face {finding.face} fused", []).append(Answer(result.pts, end, finding))
        for face in result.faces:
            made.setdefault(f"face {face.id}", []).append(Answer(result.pts, end, face_finding(face)))
        heard = voice_finding(result)
        if heard is not None and (span := voice.claim(result, result.duration)) is not None:
            made.setdefault("voice", []).append(Answer(*span, heard))
    return made
