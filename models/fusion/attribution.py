"""Whose voice it is: one of the faces' in view, or nobody's there, by the motion of the mouths while it is heard.

Pure and in event time, so usable without the runtime:

    attribution = VoiceAttribution()
    attribution.see(pts, {0: 0.8, 1: 5.2})  # how fast each face's mouth moves (`models.face_detection.mouth`)
    attribution.hear(end, hop, levels, level)  # the newest hop of a window of speech (`models.envelope`)
    attribution.probabilities()  # {0: 0.03, 1: 0.94}; what is missing from 1 is nobody's in view

Who speaks is the hidden state of a Markov chain, known by its forward filter (Rabiner 1989, A tutorial on hidden Markov
models, Proc. IEEE 77(2)): while the voice is loud the mouth of who speaks moves as speaking mouths do, every other
one as silent ones do; by and by it may be another's turn. Plain floats and `math`: the same bits on every machine.
"""

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from emopipe.models.envelope import STEP_NS
from emopipe.pipeline.clock import MS, SECOND

# Mean and standard deviation of log(speed + _FLOOR) in mouths that speak and in silent ones, and how often one does as
# the other kind: who speaks pauses, who is silent smiles. Of few people: see docs/decisions.md.
_FLOOR = 0.3
_SPEAKING = (0.95, 0.95)
_SILENT = (-0.1, 0.8)
_MIXED = 0.15

CORRELATED_S = 0.13  # a mouth goes on as it does for so long: that much time is one independent observation
TURN_S = 4.0  # the mean time until somebody else speaks
OFF_SCREEN = 0.35  # how often, before any mouth has been seen, the voice is nobody's in view
SURE = 0.1  # a voice less likely than this to be a face's is not, and one that is as unlikely not to be is

LEAD_NS = 60 * MS  # the mouth moves before the sound is heard
LOUD_DB = -12.0  # loud is what lies above this, relative to the whole window's level
TAIL_STEPS = 5  # the voice is expected to go on behind a window if one of its last steps was loud

MAX_STEP_NS = 100 * MS  # a frame tells nothing of the time further back
MAX_PENDING_NS = 2 * SECOND  # frames wait for their sound for so long
FORGET_NS = SECOND  # a face out of sight for longer is not one that may be speaking

Speaker = int | None
NOBODY: Speaker = None


class _Frame(NamedTuple):
    pts: int
    evidence: dict[Speaker, float]  # of each face in it


class _Belief:
    """The probability of each face seen lately, and of nobody, to be the one who speaks, at `pts` (ns)."""

    def __init__(self) -> None:
        self.pts: int | None = None
        self.of: dict[Speaker, float] = {NOBODY: 1.0}
        self._seen: dict[Speaker, int] = {}

    def copy(self) -> "_Belief":
        copy = _Belief()
        copy.pts, copy.of, copy._seen = self.pts, dict(self.of), dict(self._seen)
        return copy

    def step(self, frame: _Frame, loud: bool) -> None:
        """Move on to a frame, up to which the voice was loud or not."""
        elapsed = 0 if self.pts is None else frame.pts - self.pts
        self.pts = frame.pts
        self._admit(frame)
        prior = {who: (1 - OFF_SCREEN) / max(1, len(self.of) - 1) for who in self.of}
        prior[NOBODY] = OFF_SCREEN if len(prior) > 1 else 1.0
        kept = math.exp(-elapsed / SECOND / TURN_S)
        observations = min(elapsed, MAX_STEP_NS) / SECOND / CORRELATED_S if loud else 0.0
        odds = {
            who: (prior[who] + (p - prior[who]) * kept) * math.exp(observations * frame.evidence.get(who, 0.0))
            for who, p in self.of.items()
        }
        total = math.fsum(odds.values())
        self.of = {who: each / total for who, each in odds.items()}

    def _admit(self, frame: _Frame) -> None:
        """Let in who is new, and leave out who has been away."""
        self._seen |= dict.fromkeys(frame.evidence, frame.pts)
        for who in [who for who, pts in self._seen.items() if frame.pts - pts > FORGET_NS]:
            del self._seen[who]
            self.of[NOBODY] += self.of.pop(who)
        for who in [who for who in frame.evidence if who not in self.of]:
            share = (1 - OFF_SCREEN) / len(self.of)
            self.of = {other: p * (1 - share) for other, p in self.of.items()} | {who: share}


class VoiceAttribution:
    """Follows who of the faces in view speaks, if anybody of them does; one stream's, in the order of time.

    A frame counts for good once its sound is known. Up to then, for a hop behind the last window, it counts as if the
    voice went on, if that was loud to its end: so whoever begins to speak is known before the next window is.
    """

    def __init__(self) -> None:
        self._known = _Belief()
        self._ahead = _Belief()  # what the frames behind the last window add
        self._pending: deque[_Frame] = deque()
        self._until = 0  # the voice is expected to go on up to here (ns)

    def see(self, pts: int, speeds: Mapping[int, float | None]) -> None:
        """Take the frame at `pts` (ns): the speed of each face's mouth by its id, None where it is not known."""
        frame = _Frame(pts, {who: log_likelihood_ratio(speed) for who, speed in speeds.items()})
        while self._pending and pts - self._pending[0].pts > MAX_PENDING_NS:
            self._known.step(self._pending.popleft(), loud=False)
        self._pending.append(frame)
        self._ahead.step(frame, loud=pts <= self._until)

    def hear(self, end: int, hop: int, levels: Sequence[float], level: float) -> None:
        """Take a window of speech that ends at `end` (ns): its level (dB), and those of its newest hop up to there."""
        start = end - len(levels) * STEP_NS
        loud = [each - level >= LOUD_DB for each in levels]
        while self._pending and self._pending[0].pts + LEAD_NS < end:
            frame = self._pending.popleft()
            place = (frame.pts + LEAD_NS - start) // STEP_NS
            self._known.step(frame, loud=place >= 0 and loud[place])
        self._until = end + hop if any(loud[-TAIL_STEPS:]) else 0
        self._ahead = self._known.copy()
        for frame in self._pending:
            self._ahead.step(frame, loud=frame.pts <= self._until)

    def probabilities(self) -> dict[int, float]:
        """The probability of each face seen lately that the voice is theirs."""
        return {who: p for who, p in self._ahead.of.items() if who is not None}


def log_likelihood_ratio(speed: float | None) -> float:
    """How much likelier the speed of a mouth is where it speaks than where it is silent, as a logarithm; 0 for None."""
    if speed is None:
        return 0.0
    x = math.log(speed + _FLOOR)
    speaking, silent = _density(x, *_SPEAKING), _density(x, *_SILENT)
    return math.log((1 - _MIXED) * speaking + _MIXED * silent) - math.log((1 - _MIXED) * silent + _MIXED * speaking)


def voice_share(probability: float) -> float:
    """How far the voice counts for a face, 0..1: in full where it is surely theirs, not at all where surely not."""
    return min(1.0, max(0.0, (probability - SURE) / (1 - 2 * SURE)))


def _density(x: float, mean: float, deviation: float) -> float:
    # A speed so large that both densities vanish says nothing.
    return math.exp(-(min(abs(x - mean) / deviation, 6.0) ** 2) / 2) / deviation
