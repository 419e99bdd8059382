"""All that is to be told of one stream when it is over: who expressed what, and when."""

from collections import Counter
from collections.abc import Iterator

from emopipe.pipeline.clock import MS, SECOND
from emopipe.stages.sinks.findings import face_finding, findings, percent, pointing
from emopipe.stages.sinks.segments import MAX_GAP_NS, Segment, Timeline, VoiceTimeline
from emopipe.stages.types import Emotions, FaceGeometry

MAX_FACES = 60  # in one stream; of more, those who have gone and were in view for the shortest time are only counted
BRIEF_NS = SECOND // 2  # a face in view for less was there for a moment only
MAX_DOUBT = 0.995  # of the time: more than that is all of it


class GeometrySummary:
    """The means of one face's geometry over all frames in which it was measured and not uncertain."""

    def __init__(self) -> None:
        self.frames = 0
        self.blinks = 0
        self._sums: Counter[str] = Counter()

    def add(self, geometry: FaceGeometry) -> None:
        """Take in what was measured in a frame."""
        self.blinks = max(self.blinks, geometry.blinks)
        if not geometry.uncertain:
            self.frames += 1
            for field in ("yaw", "pitch", "gaze_yaw", "gaze_pitch", "smile"):
                self._sums[field] += getattr(geometry, field)

    def sentence(self) -> str:
        """`Head 3° left, 5° down on average, gaze 4° right, 2° up; smile 41 %; 6 blinks.`"""
        yaw, pitch, gaze_yaw, gaze_pitch, smile = (
            self._sums[field] / self.frames for field in ("yaw", "pitch", "gaze_yaw", "gaze_pitch", "smile")
        )
        blinks = f"{self.blinks} blink{'' if self.blinks == 1 else 's'}"
        head, gaze = pointing(yaw, pitch), pointing(gaze_yaw, gaze_pitch)
        return f"Head {head} on average, gaze {gaze}; smile {percent(smile)}; {blinks}."


class FaceSummary:
    """One face that was followed: what it expressed with the voice where it was heard, and what by itself (`alone`).

    `part` counts the jumps of time before: ids begin anew after each.
    """

    def __init__(self, id: int, part: int, first: int) -> None:
        self.id = id
        self.part = part
        self.first = self.last = first  # ns
        self.timeline = Timeline()
        self.alone = Timeline()
        self.geometry = GeometrySummary()

    @property
    def name(self) -> str:
        """`face 3`, by the id that films and files give it."""
        return f"face {self.id}" + (f" (part {self.part + 1})" if self.part else "")

    @property
    def voice(self) -> bool:
        """Whether the voice was heard with it at any time."""
        return any(segment.who.endswith("voice") for segment in self.timeline.segments)


class StreamSummary:
    """All that is told of one stream.

    Attributes:
        faces: by part and the face's id, in order of their coming.
        brief_faces: how many more there were, each for a short time.
        voice: what the voice expressed by itself.
        end: ns of running time.
        frames, with_face, forced: results of frames; of them with a face; those sent before all was known.
        jumps: how often time began anew.
    """

    def __init__(self, stream: str) -> None:
        self.stream = stream
        self.faces: dict[tuple[int, int], FaceSummary] = {}
        self.brief_faces = 0
        self.voice = VoiceTimeline()
        self.end = 0
        self.frames = self.with_face = self.forced = self.jumps = 0
        self._shift = 0  # ns to add, since time jumped
        self._jumped = False

    def add(self, emotions: Emotions, pts: int, duration: int) -> int:
        """Take in a result; its place on the summary's time line (ns)."""
        if self._jumped:
            self._shift, self._jumped = self.end - pts, False
        pts += self._shift
        # A window of speech has its place on a grid, which may lie behind the end of the sound.
        end = pts + duration if emotions.source == "face" else 0
        self.forced += emotions.forced
        if emotions.source == "face":
            self.frames += 1
            self.with_face += bool(emotions.faces)
        alone = {face.id: face_finding(face) for face in emotions.faces}
        held = {face.id: face.geometry for face in emotions.faces}
        for finding in findings(emotions):
            if finding.face is None:
                self.voice.add_window(finding, emotions, duration, self._shift)
                continue
            face = self.faces.get((self.jumps, finding.face)) or self._meet(finding.face, pts)
            face.last = end
            face.timeline.add(finding, pts, end)
            face.alone.add(alone[finding.face], pts, end)
            if isinstance(geometry := held[finding.face], FaceGeometry):
                face.geometry.add(geometry)
        self.end = max(self.end, end, self.voice.end)
        return pts

    def jump(self) -> None:
        """Time begins anew: what comes next follows what was. The faces' ids begin anew, too."""
        self.jumps += 1
        self._jumped = True

    def segments(self) -> Iterator[tuple[str, Segment]]:
        """Who and what, of all faces and the voice."""
        for face in self.faces.values():
            part = f" (part {face.part + 1})" if face.part else ""
            yield from ((f"{segment.who}{part}", segment) for segment in face.timeline.segments)
        yield from ((segment.who, segment) for segment in self.voice.segments)

    def labels(self) -> list[str]:
        """All that was expressed, in the order of the alphabet."""
        lines = [line for face in self.faces.values() for line in (face.timeline, face.alone)] + [self.voice]
        return sorted({label for line in lines for label in (*line.certain, *line.uncertain)})

    def sentences(self) -> list[str]:
        """What it comes to, a sentence for each face and one for the voice."""
        said = [verdict_sentence(face.name, face.timeline) for face in self.longer_faces()]
        return said + ([verdict_sentence("the voice", self.voice)] if self.voice.segments else [])

    def longer_faces(self) -> list[FaceSummary]:
        """The faces that were in view for longer than a moment; all, if none was."""
        longer = [face for face in self.faces.values() if face.timeline.total >= BRIEF_NS]
        return longer or list(self.faces.values())

    def _meet(self, id: int, pts: int) -> FaceSummary:
        # Never one who is in view: two who have just come would take each other's place, frame after frame.
        away = [key for key, face in self.faces.items() if face.last < pts - MAX_GAP_NS]
        if len(self.faces) >= MAX_FACES and away:
            del self.faces[min(away, key=lambda key: self.faces[key].timeline.total)]
            self.brief_faces += 1
        face = self.faces[self.jumps, id] = FaceSummary(id, self.jumps, pts)
        return face


def verdict_sentence(who: str, timeline: Timeline) -> str:
    """What a timeline comes to: `Face 0 mostly expresses surprise, 62 % of 8.6 s; 20 % is uncertain.`

    The emotion is the one that was certain for longest.
    """
    who = who[:1].upper() + who[1:]
    total = timeline.total
    if not total:
        return f"{who} is there for a moment only."
    length = f"{total / SECOND:.1f} s" if total >= SECOND // 10 else f"{total / MS:.0f} ms"  # of a picture
    doubt = timeline.uncertain.total() / total
    if doubt > MAX_DOUBT:
        emotion, ns = _longest(timeline.uncertain)
        return f"{who}: uncertain throughout; likeliest is {emotion}, {percent(ns / total)} of {length}."
    emotion, ns = _longest(timeline.certain)
    share = ns / total
    if share > MAX_DOUBT:
        return f"{who} expresses {emotion}, all of {length}."
    often = "mostly" if share > 0.5 else "most often"
    rest = f"; {percent(doubt)} is uncertain" if doubt > 1 - MAX_DOUBT else ""
    return f"{who} {often} expresses {emotion}, {percent(share)} of {length}{rest}."


def _longest(times: Counter[str]) -> tuple[str, int]:
    return min(times.items(), key=lambda item: (-item[1], item[0]))
