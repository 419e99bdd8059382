"""Results as a table: the columns that CSV, Parquet and data frames share, and the rows of a result."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

from emopipe.models.labels import FACE, labels_problem
from emopipe.pipeline.port import about
from emopipe.pipeline.text import listing
from emopipe.stages.sinks.affect import derived_affect
from emopipe.stages.sinks.findings import Finding, face_finding, findings, voice_finding
from emopipe.stages.sinks.records import rounded, seconds
from emopipe.stages.types import Emotions

COLUMNS: dict[str, type] = {
    **{"stream": str, "time_s": float, "pts_ns": int, "duration_ns": int, "source": str, "face": int},
    **dict.fromkeys(("left", "top", "width", "height"), float),
    **{"who": str, "emotion": str, "confidence": float, "uncertain": bool, **dict.fromkeys(FACE, float)},
    **{"face_emotion": str, "face_confidence": float, "face_uncertain": bool, "speaking": float},
    **{"voice_emotion": str, "voice_confidence": float, "voice_uncertain": bool},
    **dict.fromkeys(("voice_start_s", "voice_end_s", "voice_age_s"), float),
    "forced": bool,
}
"""The type of each column."""

ALWAYS = ("stream", "time_s", "pts_ns", "duration_ns", "source", "forced")
"""The columns that every row fills."""

DERIVED: dict[str, type] = {"derived_valence": float, "derived_arousal": float}
"""Columns that are there where they are asked for: where the distribution lies on a published map (`affect`)."""

RESERVED = COLUMNS | DERIVED
"""What no label of another maker's model may be called in a table."""

Row = dict[str, Any]

Labels = Annotated[
    list[str],
    about("labels of another maker's model that get columns of their own, behind those of the emotions"),
]


def columns(*, derived: bool, labels: Iterable[str] = ()) -> dict[str, type]:
    """The columns of a table: with or without those that are derived; with those of `labels` that are no emotions."""
    return COLUMNS | dict.fromkeys(labels, float) | (DERIVED if derived else {})


def column_problem(labels: Sequence[str]) -> str:
    """The reason why these labels cannot be columns, as a sentence for the user; empty if they can."""
    if taken := [label for label in labels if label in RESERVED]:
        return f"there is a column {taken[0]} already; leave it out"
    return labels_problem(labels) if len(labels) > 1 else ""


def other_labels(emotions: Emotions) -> list[str]:
    """The labels of a result that no table has a column for, unless it is asked to; in order."""
    voice = voice_finding(emotions)
    said = [*findings(emotions), *map(face_finding, emotions.faces), *([voice] if voice is not None else [])]
    return list(dict.fromkeys(label for each in said for label in each.probabilities if label not in FACE))


class MissingColumns:
    """Tells, once, that a table has no columns for labels of its results."""

    def __init__(self, labels: Sequence[str]) -> None:
        self._known = {*FACE, *labels}
        self._told = False

    def sentence(self, path: str, emotions: Emotions) -> str:
        """What to tell the user; empty where there is nothing to tell, or it has been told."""
        missing = [] if self._told else [label for label in other_labels(emotions) if label not in self._known]
        if not missing:
            return ""
        self._told = True
        return (
            f"{path} has no columns for the probabilities of {listing(missing)}, which are no emotions; "
            f"set labels = {json.dumps(missing)} for this sink"
        )


def rows(stream: str, pts: int, duration: int, emotions: Emotions) -> Iterator[Row]:
    """The rows of one result by column, `DERIVED` included: one for each face, and one for a result without a face.

    Times are in ns, or in s where the column's name says so; floats are rounded as all files have them.
    """
    common: Row = dict.fromkeys(COLUMNS | DERIVED) | {
        "stream": stream,
        "time_s": seconds(pts),
        "pts_ns": pts,
        "duration_ns": duration,
        "source": emotions.source,
        "forced": emotions.forced,
    }
    voice = voice_finding(emotions)
    if voice is not None:
        common |= _verdict(voice, "voice_")
    if (window := emotions.voice) is not None:
        spans = {"voice_start_s": window.start, "voice_end_s": window.end, "voice_age_s": window.age}
        common |= {column: seconds(ns) for column, ns in spans.items()}
    for face, finding in zip(emotions.faces, findings(emotions), strict=False):
        box = zip(("left", "top", "width", "height"), face.box, strict=True)
        alone = _verdict(face_finding(face), "face_")
        yield rounded(common | {"face": face.id, "speaking": face.speaking, **dict(box)} | _row(finding) | alone)
    if not emotions.faces:
        yield rounded(common | (_row(voice) if voice is not None else {}))


def _row(finding: Finding) -> Row:
    affect = dict(zip(DERIVED, derived_affect(finding.probabilities), strict=True))
    shares = {label: share for label, share in finding.probabilities.items() if label in FACE or label not in RESERVED}
    return {"who": finding.who, **_verdict(finding), **shares, **affect}


def _verdict(finding: Finding, prefix: str = "") -> Row:
    said = {"emotion": finding.emotion, "confidence": finding.confidence, "uncertain": finding.uncertain}
    return {f"{prefix}{key}": value for key, value in said.items()}
