"""Results told as segments: who expressed what from when to when, in bounded memory however long it goes on."""

from collections import Counter
from itertools import pairwise

import msgspec

from emopipe.pipeline.clock import MS, SECOND
from emopipe.stages.sinks.findings import Finding
from emopipe.stages.types import Emotions

MAX_GAP_NS = SECOND  # a longer time without a result ends a segment
MIN_SEGMENT_NS = 100 * MS  # the shortest segment that is kept once there are too many
MAX_SEGMENTS = 2000  # on one timeline, where it is to have a limit
MAX_VOICE_NS = SECOND  # of speech that a result beside a face stands for, if it is the first of its utterance


class Segment(msgspec.Struct):
    """One emotion kept from `start` to `end` (ns of running time), over so many results, with its mean confidence."""

    who: str
    emotion: str
    uncertain: bool
    start: int
    end: int
    results: int
    confidence: float

    @property
    def length(self) -> int:
        """ns."""
        return self.end - self.start

    def says_as(self, other: "Segment") -> bool:
        """Whether both say the same of the same."""
        return (self.who, self.emotion, self.uncertain) == (other.who, other.emotion, other.uncertain)

    def absorb(self, other: "Segment") -> None:
        """Take in the results of one that says the same."""
        self.results += other.results
        self.confidence += (other.confidence - self.confidence) * other.results / self.results


class Timeline:
    """What one face, or the voice, expressed: segment after segment.

    Args:
        limit: of the number of segments; None keeps each, whatever memory that takes.

    Attributes:
        segments: in order; where there would be too many, the shortest are part of their neighbours.
        grain_ns: what is shorter than this is not told apart from what it follows; 0 while all is.
        certain, uncertain: ns by emotion; exact, whatever became of the segments.
    """

    def __init__(self, limit: int | None = MAX_SEGMENTS) -> None:
        self._limit = limit
        self.segments: list[Segment] = []
        self.grain_ns = 0
        self.certain: Counter[str] = Counter()
        self.uncertain: Counter[str] = Counter()

    def add(self, finding: Finding, start: int, end: int) -> None:
        """One result, which stands for `start` to `end` (ns); each begins at or after the one before."""
        new = Segment(finding.who, finding.emotion, finding.uncertain, start, start, 1, finding.confidence)
        last = self.segments[-1] if self.segments else None
        if last is not None and start - last.end <= MAX_GAP_NS:
            if last.says_as(new):
                last.absorb(new)
                self._grow(last, end)
                return
            self._grow(last, start)
            new.start = new.end = max(start, last.end)
        self.segments.append(new)
        self._grow(new, end)
        if self._limit is not None and len(self.segments) > self._limit:
            self._coarsen(self._limit // 2)

    @property
    def total(self) -> int:
        """ns with a result."""
        return self.certain.total() + self.uncertain.total()

    def _grow(self, segment: Segment, end: int) -> None:
        longer = max(0, end - segment.end)
        segment.end += longer
        (self.uncertain if segment.uncertain else self.certain)[segment.emotion] += longer

    def _coarsen(self, wanted: int) -> None:
        """Let the shortest segments be part of their neighbours until `wanted` are left."""
        self.grain_ns = self.grain_ns or MIN_SEGMENT_NS
        while (surplus := len(self.segments) - wanted) > 0:
            kept = self.segments[:1]
            taken = 0  # ns that the last one kept has taken in: of many short ones in a row, not all go to one
            pairs = 0
            for before, segment in pairwise(self.segments):
                last = kept[-1]
                near = segment.start - before.end <= MAX_GAP_NS
                pairs += near
                if near and last.says_as(segment):
                    last.absorb(segment)
                    taken = 0
                elif near and taken + segment.length < self.grain_ns:
                    taken += segment.length
                else:
                    kept.append(segment)
                    taken = 0
                    continue
                last.end = max(last.end, segment.end)
            if len(kept) == len(self.segments):
                if pairs >= surplus:
                    self.grain_ns *= 2
                else:  # too many are far apart: the shortest go
                    kept = sorted(sorted(kept, key=lambda each: -each.length)[: len(kept) // 2], key=lambda s: s.start)
            self.segments = kept


class VoiceTimeline(Timeline):
    """What the voice by itself expressed.

    A window of speech stands for what it was the first to hear: windows overlap, and reach back for seconds.

    Attributes:
        end: where the newest window ended (ns); -1 before the first.
    """

    def __init__(self, limit: int | None = MAX_SEGMENTS) -> None:
        super().__init__(limit)
        self.end = -1

    def add_window(self, finding: Finding, emotions: Emotions, duration: int, shift: int = 0) -> None:
        """Take in the voice's part in a result of `duration` ns, moved by `shift` ns."""
        if (span := self.claim(emotions, duration, shift)) is not None:
            self.add(finding, *span)

    def claim(self, emotions: Emotions, duration: int, shift: int = 0) -> tuple[int, int] | None:
        """From when to when (ns) the window of a result is the first to hear; None if it has nothing new."""
        window = emotions.voice
        if window is None or window.end + shift <= self.end:
            return None
        hop = (duration if emotions.source == "voice" else 0) or MAX_VOICE_NS
        end = window.end + shift
        start = max(window.start + shift, end - hop, self.end, 0)
        self.end = end
        return start, end
