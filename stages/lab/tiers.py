"""Results as tiers of annotations: who expressed what from when to when, on the time line of the recording.

Each face has two tiers: `face 3 fused` says what the files call its `emotion`, the face with the voice where it is
heard, smoothed; `face 3` what the face says by itself. `voice` says what the voice says by itself. An annotation begins
and ends where a result does (a result stands for its `pts` to `pts + duration`), and holds a label, `happy`, or
`happy?` where the results are uncertain. What else happened has a tier of points for each program that said so:
`markers PsychoPy`.
"""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from emopipe.models.labels import FACE
from emopipe.pipeline.text import one_line
from emopipe.stages.sinks.findings import Finding, face_finding, findings
from emopipe.stages.sinks.segments import Segment, Timeline, VoiceTimeline
from emopipe.stages.types import Emotions, Marker

T = TypeVar("T", int, float)
UNCERTAIN = "?"  # behind a label
TOGETHER = " | "  # between markers of one moment
VALUES = tuple(f"{label}{mark}" for label in FACE for mark in ("", UNCERTAIN))
"""All that an annotation may hold, where the models' labels are the emotions."""


class Tier(NamedTuple):
    """The annotations of one kind: its name, whom it is about (`face 3`, `voice`), and its segments, in order."""

    name: str
    participant: str
    segments: list[Segment]


class PointTier(NamedTuple, Generic[T]):
    """What happened as one program says it: the tier's name, and what was said when, in order."""

    name: str
    points: list[tuple[T, str]]


class StreamTiers:
    """The tiers of one stream; they hold every segment, so memory grows with their number (0.2 kB each).

    Attributes:
        end: ns, where the newest result or gap ends, or the latest marker lies.
    """

    def __init__(self) -> None:
        self.end = 0
        self._jumps = 0
        self._fused: dict[tuple[int, int], Timeline] = {}  # by part, which jumps of time begin, and the face's id
        self._alone: dict[tuple[int, int], Timeline] = {}
        self._voices = [VoiceTimeline(limit=None)]  # by part
        self._markers: dict[str, list[tuple[int, str]]] = {}  # by sender

    def add(self, emotions: Emotions, pts: int, duration: int) -> None:
        """Take in a result (times in ns)."""
        self.end = max(self.end, pts + duration)
        for finding in findings(emotions):
            if finding.face is None:
                self._voices[-1].add_window(finding, emotions, duration)
            else:
                # Whether the voice is heard with it begins no annotation: the tier of the voice says that.
                self._add(self._fused, finding._replace(voice=False), pts, duration)
        for face in emotions.faces:
            self._add(self._alone, face_finding(face), pts, duration)

    def add_gap(self, pts: int, duration: int) -> None:
        """Nothing was there from `pts` for `duration` (ns)."""
        self.end = max(self.end, pts + duration)

    def add_marker(self, marker: Marker, pts: int) -> None:
        """Take in what happened at `pts` (ns); in one line, since neither program shows more."""
        self.end = max(self.end, pts)
        self._markers.setdefault(one_line(marker.sender), []).append((pts, one_line(marker.value)))

    def jump(self) -> None:
        """Time begins anew, and so do the faces' ids: what follows goes to tiers of its own."""
        self._jumps += 1
        self._voices.append(VoiceTimeline(limit=None))

    def tiers(self) -> list[Tier]:
        """Those of the faces in the order of their coming, and that of the voice, which is always there."""
        made = []
        for (part, face), fused in self._fused.items():
            who = f"face {face}"
            made.append(Tier(f"{who} fused{_part(part)}", who, _longer(fused)))
            made.append(Tier(f"{who}{_part(part)}", who, _longer(self._alone[part, face])))
        for part, voice in enumerate(self._voices):
            if part == 0 or voice.segments:
                made.append(Tier(f"voice{_part(part)}", "voice", _longer(voice)))
        return made

    def point_tiers(self, time: Callable[[int], T]) -> list[PointTier[T]]:
        """Those of the markers; what falls on one time of the format, which `time` makes of ns, is one: `a | b`."""
        made = []
        for sender, said in self._markers.items():
            points: dict[T, list[str]] = {}
            for pts, value in sorted(said, key=lambda each: each[0]):
                points.setdefault(time(pts), []).append(value)
            made.append(PointTier(f"markers {sender}", [(at, TOGETHER.join(each)) for at, each in points.items()]))
        return made

    def labels(self) -> tuple[str, ...]:
        """The emotions, and what else was said in the labels of another maker's model."""
        said = {segment.emotion for tier in self.tiers() for segment in tier.segments}
        return (*FACE, *sorted(said.difference(FACE)))

    def _add(self, kept: dict[tuple[int, int], Timeline], finding: Finding, pts: int, duration: int) -> None:
        assert finding.face is not None
        timeline = kept.setdefault((self._jumps, finding.face), Timeline(limit=None))
        timeline.add(finding, pts, pts + duration)


def parse_value(text: str, labels: Sequence[str] = FACE) -> tuple[str, bool] | None:
    """Which of `labels` an annotation holds, and whether it is marked as uncertain; None where it holds none."""
    text = text.strip()
    said = text.removesuffix(UNCERTAIN).rstrip().lower()
    return next(((label, text.endswith(UNCERTAIN)) for label in labels if label.lower() == said), None)


def annotation_value(segment: Segment) -> str:
    """`happy`, or `happy?` where it is uncertain."""
    return f"{segment.emotion}{UNCERTAIN if segment.uncertain else ''}"


def _longer(timeline: Timeline) -> list[Segment]:
    """The segments that last: none of the formats has room for what takes no time."""
    return [segment for segment in timeline.segments if segment.length > 0]


def _part(part: int) -> str:
    return f" (part {part + 1})" if part else ""
