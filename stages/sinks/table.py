"""Results as a table: the columns that CSV, Parquet and data frames share, and the rows of a result."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Any

import msgspec

from emopipe.models.labels import FACE, labels_problem
from emopipe.pipeline.port import about
from emopipe.pipeline.text import listing
from emopipe.stages.sinks.affect import derived_affect
from emopipe.stages.sinks.findings import Finding, face_finding, findings, voice_finding
from emopipe.stages.sinks.records import rounded, seconds
from emopipe.stages.types import Emotions, FaceGeometry, PersonEmotion

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

GEOMETRY_FIELDS = {
    "head_roll_deg": "roll",
    "head_pitch_deg": "pitch",
    "head_yaw_deg": "yaw",
    "gaze_pitch_deg": "gaze_pitch",
    "gaze_yaw_deg": "gaze_yaw",
    "right_eye_open": "right_eye",
    "left_eye_open": "left_eye",
    "mouth_open": "mouth",
    "brow_raise": "brow_raise",
    "smile": "smile",
    "eyes_closed": "closed",
    "blinks": "blinks",
    "geometry_uncertain": "uncertain",
}
GEOMETRY: dict[str, type] = dict.fromkeys(GEOMETRY_FIELDS, float) | {"blinks": int, "geometry_uncertain": bool}
"""Columns that are there where they are asked for: the fields of `FaceGeometry`, of the stage `face-geometry`."""

OPENFACE = (
    *("timestamp", "face_id", "success"),
    *("gaze_angle_x", "gaze_angle_y", "pose_Rx", "pose_Ry", "pose_Rz"),
    "stream",
)
"""The columns of OpenFace 2.2 that we have, in its units and signs; and the stream, of which OpenFace has no column."""

RESERVED = COLUMNS | DERIVED | GEOMETRY
"""What no label of another maker's model may be called in a table."""

Row = dict[str, Any]

Labels = Annotated[
    list[str],
    about("labels of another maker's model that get columns of their own, behind those of the emotions"),
]


def columns(*, derived: bool = False, geometry: bool = False, labels: Iterable[str] = ()) -> dict[str, type]:
    """The columns of a table: with those of `labels` that are no emotions; with or without those that are derived, and
    those of the faces' geometry."""
    more = (DERIVED if derived else {}) | (GEOMETRY if geometry else {})
    return COLUMNS | dict.fromkeys(labels, float) | more


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
    """The rows of one result, in all columns there may be: one for each face, and one for a result without a face.

    Times are in ns, or in s where the column's name says so; floats are rounded as all files have them.
    """
    common: Row = dict.fromkeys(columns(derived=True, geometry=True)) | {
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
        yield rounded(
            common | {"face": face.id, "speaking": face.speaking, **dict(box)} | _row(finding) | alone | _geometry(face)
        )
    if not emotions.faces:
        yield rounded(common | (_row(voice) if voice is not None else {}))


def openface_rows(stream: str, pts: int, emotions: Emotions) -> Iterator[Row]:
    """The rows of a frame's result in the columns `OPENFACE`; none for a window of speech. Angles are in radians.

    Ours are against the line of sight, as OpenFace's are for a face in the middle of the picture. `success` is 1 where
    the face's geometry is there and not uncertain.
    """
    if emotions.source != "face":
        return
    for face in emotions.faces:
        row: Row = dict.fromkeys(OPENFACE) | {"timestamp": seconds(pts), "face_id": face.id, "success": 0}
        if isinstance(geometry := face.geometry, FaceGeometry):
            turns = zip(("pose_Rx", "pose_Ry", "pose_Rz"), openface_turns(geometry), strict=True)
            gaze = {"gaze_angle_x": math.radians(geometry.gaze_yaw), "gaze_angle_y": -math.radians(geometry.gaze_pitch)}
            row |= {"success": int(not geometry.uncertain), **gaze, **dict(turns)}
        yield rounded(row | {"stream": stream})


def openface_turns(geometry: FaceGeometry) -> tuple[float, float, float]:
    """A head's turns about the axes to the right, down and away from the camera, in radians: R = Rx · Ry · Rz."""
    roll, pitch, yaw = (math.radians(each) for each in (geometry.roll, geometry.pitch, geometry.yaw))
    # Of the head's own axes, where they point: forward, as yaw and pitch have it, and to its right.
    forward = math.cos(pitch) * math.sin(yaw), -math.sin(pitch), -math.cos(pitch) * math.cos(yaw)
    right_x = math.cos(roll) * math.cos(yaw) + math.sin(roll) * math.sin(pitch) * math.sin(yaw)
    down_x = -math.sin(roll) * math.cos(yaw) + math.cos(roll) * math.sin(pitch) * math.sin(yaw)
    return (
        math.atan2(forward[1], -forward[2]),
        math.asin(max(-1.0, min(1.0, -forward[0]))),
        math.atan2(-down_x, right_x),
    )


def _geometry(face: PersonEmotion) -> Row:
    if isinstance(face.geometry, msgspec.UnsetType):
        return {}
    return {column: getattr(face.geometry, field) for column, field in GEOMETRY_FIELDS.items()}


def _row(finding: Finding) -> Row:
    affect = dict(zip(DERIVED, derived_affect(finding.probabilities), strict=True))
    shares = {label: share for label, share in finding.probabilities.items() if label in FACE or label not in RESERVED}
    return {"who": finding.who, **_verdict(finding), **shares, **affect}


def _verdict(finding: Finding, prefix: str = "") -> Row:
    said = {"emotion": finding.emotion, "confidence": finding.confidence, "uncertain": finding.uncertain}
    return {f"{prefix}{key}": value for key, value in said.items()}
