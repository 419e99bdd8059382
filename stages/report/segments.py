"""Results told as segments: who expressed what from when to when, in bounded memory however long it goes on."""

from collections import Counter
from itertools import pairwise

import msgspec

from emopipe.models.thresholds import Thresholds
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.message import Message
from emopipe.stages.sinks.records import likeliest
from emopipe.stages.types import Emotions

MAX_GAP_NS = SECOND  # ns without a result end a segment
MIN_SEGMENT_NS = 100 * MS  # ns; the shortest segment that is kept once there are too many
MAX_SEGMENTS = 2000  # on one lane
MAX_FACES = 60  # in one stream; of more, those who have gone and were in view for the shortest time are only counted


class Segment(msgspec.Struct):
    """One emotion kept from `start` to `end` (ns of running time), over so many results, with its mean confidence."""

    emotion: str
    uncertain: bool
    start: int
    end: int
    results: int
    confidence: float

    @property
    def length(self) -> int:
        return self.end - self.start


class Timeline:
    """What one face, or the voice, or both together expressed, segment after segment.

    Attributes:
        segments: in order; where there would be too many, the shortest are part of their neighbours.
        grain: ns; what is shorter than this is not told apart from what it follows; 0 while all is.
        certain, unsure: ns by emotion; exact, whatever became of the segments.
    """

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.grain = 0
        self.certain: Counter[str] = Counter()
        self.unsure: Counter[str] = Counter()

    def add(self, emotion: str, confidence: float, uncertain: bool, start: int, end: int) -> None:
        """One result, which stands for `start` to `end` (ns); each begins at or after the one before."""
        last = self.segments[-1] if self.segments else None
        near = last is not None and start - last.end <= MAX_GAP_NS
        if last is not None and near and (last.emotion, last.uncertain) == (emotion, uncertain):
            self._grow(last, end)
            last.results += 1
            last.confidence += (confidence - last.confidence) / last.results
            return
        if last is not None and near:
            self._grow(last, start)
            start = max(start, last.end)  # windows of speech overlap
        self.segments.append(Segment(emotion, uncertain, start, start, 1, confidence))
        self._grow(self.segments[-1], end)
        if len(self.segments) > MAX_SEGMENTS:
            self._coarsen()

    @property
    def total(self) -> int:
        """ns with a result."""
        return self.certain.total() + self.unsure.total()

    def _grow(self, segment: Segment, end: int) -> None:
        longer = max(0, end - segment.end)
        segment.end += longer
        (self.unsure if segment.uncertain else self.certain)[segment.emotion] += longer

    def _coarsen(self) -> None:
        """Let the shortest segments be part of their neighbours until half as many are left."""
        self.grain = self.grain or MIN_SEGMENT_NS
        while (surplus := len(self.segments) - MAX_SEGMENTS // 2) > 0:
            kept = self.segments[:1]
            taken = 0  # ns that the last one kept has taken in: of many short ones in a row, not all go to one
            pairs = 0
            for before, segment in pairwise(self.segments):
                last = kept[-1]
                near = segment.start - before.end <= MAX_GAP_NS
                pairs += near
                same = (last.emotion, last.uncertain) == (segment.emotion, segment.uncertain)
                if near and same:
                    results = last.results + segment.results
                    last.confidence += (segment.confidence - last.confidence) * segment.results / results
                    last.results = results
                    taken = 0
                elif near and taken + segment.length < self.grain:
                    taken += segment.length
                else:
                    kept.append(segment)
                    taken = 0
                    continue
                last.end = max(last.end, segment.end)
            if len(kept) == len(self.segments):
                if pairs >= surplus:
                    self.grain *= 2
                else:  # too many are far apart: the shortest go
                    kept = sorted(sorted(kept, key=lambda each: -each.length)[: len(kept) // 2], key=lambda s: s.start)
            self.segments = kept


class FaceSummary:
    """One face that was followed: what it expressed with the voice (`together`), and by itself (`face`).

    `part` counts the jumps of time before: ids begin anew after each.
    """

    def __init__(self, id: int, part: int, first: int) -> None:
        self.id = id
        self.part = part
        self.first = self.last = first  # ns
        self.together = Timeline()
        self.face = Timeline()

    @property
    def name(self) -> str:
        """`Face 3`, by the id that films and tables give it."""
        return f"Face {self.id}" + (f" (part {self.part + 1})" if self.part else "")


class StreamSummary:
    """All that a report tells of one stream.

    Attributes:
        people: by part and the face's id, in order of their coming.
        brief_faces: how many more there were, each for a short time.
        voice: what the voice expressed alone.
        end: ns of running time.
        frames, with_face, forced: results of pictures; of them with a face; those sent before all was known.
        jumps: how often time began anew.
    """

    def __init__(self, stream: str, thresholds: Thresholds) -> None:
        self.stream = stream
        self._thresholds = thresholds
        self.people: dict[tuple[int, int], FaceSummary] = {}
        self.brief_faces = 0
        self.voice = Timeline()
        self.end = 0
        self.frames = self.with_face = self.forced = self.jumps = 0
        self._shift = 0  # ns to add, since time jumped
        self._jumped = False
        self._heard = -1  # ns, where the newest window of speech ended

    def add(self, message: Message) -> int:
        """Take in a result; its place on the report's time line (ns)."""
        emotions: Emotions = message.payload
        if self._jumped:
            self._shift, self._jumped = self.end - message.pts, False
        pts = message.pts + self._shift
        # A window of speech has its place on a grid, which may lie behind the end of the sound.
        end = pts + message.duration if emotions.source == "face" else 0
        self.forced += emotions.forced
        if emotions.source == "face":
            self.frames += 1
            self.with_face += bool(emotions.faces)
        for face in emotions.faces:
            person = self.people.get((self.jumps, face.id)) or self._meet(face.id, pts)
            person.last = end
            person.together.add(face.emotion, face.confidence, face.uncertain, pts, end)
            label, share = likeliest(face.face.probabilities)
            person.face.add(label, share, share < self._thresholds.face, pts, end)
        if (voice := emotions.voice) is not None and voice.end + self._shift > self._heard:
            self._heard = voice.end + self._shift
            label, share = likeliest(voice.probabilities)
            self.voice.add(label, share, share < self._thresholds.voice, max(0, voice.start + self._shift), self._heard)
        self.end = max(self.end, end, self._heard)
        return pts

    def jump(self) -> None:
        """Time begins anew: what comes next follows what was. The faces' ids begin anew, too."""
        self.jumps += 1
        self._jumped = True

    def _meet(self, id: int, pts: int) -> FaceSummary:
        # Never one who is in view: two who have just come would take each other's place, picture after picture.
        away = [key for key, person in self.people.items() if person.last < pts - MAX_GAP_NS]
        if len(self.people) >= MAX_FACES and away:
            del self.people[min(away, key=lambda key: self.people[key].together.total)]
            self.brief_faces += 1
        person = self.people[self.jumps, id] = FaceSummary(id, self.jumps, pts)
        return person
