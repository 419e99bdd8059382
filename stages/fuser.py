"""Fusion as a fold over the ordered events of one stream; pure, so usable without the runtime.

Each frame gives one result at its time: every face fused with the newest window of speech that ended no longer
than `hold` before. A window is heard with a face if the next frame, within `hold`, shows one; otherwise the voice
gives a result of its own at the window's end. Whether a frame follows is the only thing asked, never how much an
input had promised before it ended, which may depend on timing: so a window is held until the next frame has come
out of the join, or can no longer come.
"""

from collections import Counter, deque
from typing import NamedTuple

from pipeline.clock import SECOND
from pipeline.join import Ended, Released
from pipeline.message import FOREVER, Message
from stages.pooling import certainty, likeliest, named, pool, shared, shares
from stages.smoothing import Smoother
from stages.types import (
    Emotions,
    FaceEmotion,
    FaceEmotions,
    Modality,
    PersonEmotion,
    SpeechEmotion,
    Voice,
    VoiceEmotion,
)

LONG_ENOUGH = 2 * SECOND  # of speech; a longer window is not heard any better


class Output(NamedTuple):
    """What to emit for `cause`, at its pts; a gap where `result` is none."""

    cause: Message
    result: Emotions | None


class Fuser:
    """Folds faces and speech (`Released` messages of `FaceEmotions` and `SpeechEmotion`, gaps among them) into results.

    The weight of an opinion is prior × quality × certainty: the setting of its modality; the crop's quality, or how
    far the window can be trusted (`_trust`); and 1 less the distribution's normalised entropy. Both are pooled
    (`pooling.pool`) in proportion to their weights; with several faces the voice's reported weight is its mean share.

    Args:
        hold: how long a window stays the partner of frames, in ns.
        smoother: of faces by their id, and of the voice alone.
        face_weight, voice_weight: the priors.
        faces: whether faces may come at all.
        counters: `windows_superseded` counts windows heard with a face that a newer one replaced before any frame.
    """

    def __init__(
        self,
        *,
        hold: int,
        smoother: Smoother,
        face_weight: float = 1.0,
        voice_weight: float = 1.0,
        faces: bool = True,
        counters: Counter[str] | None = None,
    ) -> None:
        self._hold = hold
        self._smoother = smoother
        self._face_weight = face_weight
        self._voice_weight = voice_weight
        self._faces_over = not faces
        self._counters: Counter[str] = Counter() if counters is None else counters
        self._partner: Message | None = None
        self._held: deque[Message] = deque()  # windows that wait for the next frame, and the gaps behind them

    @property
    def watermark(self) -> int:
        """The smallest pts that is held; FOREVER if none is."""
        return self._held[0].pts if self._held else FOREVER

    @property
    def held(self) -> int:
        """How many windows and gaps are held."""
        return len(self._held)

    def push(self, event: Released[Message] | Ended) -> list[Output]:
        """What the next event in order brings forth."""
        if isinstance(event, Ended):
            self._faces_over |= event.input == "faces"
            return self.release() if self._faces_over else []
        message = event.item
        outputs = self.settle(event.pts)
        if message.kind == "data" and event.input == "faces":
            seen: FaceEmotions = message.payload
            outputs += self._heard_with_a_face() if seen.faces else self.release()
            return [*outputs, Output(message, self._frame(message, seen.faces, event.forced))]
        self._held.append(message)
        if message.kind == "data":
            self._partner = message
            if event.forced or self._faces_over:
                return outputs + self.release(event.forced)
        return outputs + self.settle(event.pts)

    def late(self, window: Message) -> None:
        """A window that came too late for its place (live): what follows may still be fused with it."""
        if self._partner is None or self._partner.pts < window.pts:
            self._partner = window

    def settle(self, watermark: int) -> list[Output]:
        """What needs no frame any more, now that none below `watermark` can come."""
        outputs: list[Output] = []
        while self._held and (self._held[0].kind == "gap" or self._held[0].pts + self._hold < watermark):
            outputs.append(self._alone(self._held.popleft(), forced=False))
        return outputs

    def release(self, forced: bool = False) -> list[Output]:
        """What is held, as heard without a face."""
        outputs = [self._alone(message, forced) for message in self._held]
        self._held.clear()
        return outputs

    def _heard_with_a_face(self) -> list[Output]:
        gaps = [Output(message, None) for message in self._held if message.kind == "gap"]
        windows = len(self._held) - len(gaps)
        self._counters["windows_superseded"] += max(0, windows - 1)
        self._held.clear()
        return gaps

    def _frame(self, message: Message, faces: list[FaceEmotion], forced: bool) -> Emotions:
        partner = self._partner
        if partner is not None and (not faces or message.pts - partner.pts > self._hold):
            partner = None
        people = [self._person(message.pts, face, partner) for face in faces]
        voice = None
        if partner is not None:
            share = sum(1 - person.face.weight for person in people) / len(people)
            voice = _voice(partner.payload, message.pts, share)
        return Emotions(source="face", faces=people, voice=voice, alone=None, forced=forced)

    def _person(self, pts: int, face: FaceEmotion, partner: Message | None) -> PersonEmotion:
        opinions = [face.probabilities]
        weights = [self._face_weight * face.quality * certainty(face.probabilities)]
        if partner is not None:
            voice = shared(partner.payload.probabilities)
            opinions.append(voice)
            weights.append(self._voice_weight * _trust(partner.payload) * certainty(voice))
        own_shares = shares(weights)
        result = self._smoother.push(face.id, pts, pool(opinions, own_shares), sum(weights))
        emotion, confidence = likeliest(result)
        return PersonEmotion(
            id=face.id,
            box=face.box,
            emotion=emotion,
            confidence=confidence,
            probabilities=named(result),
            face=Modality(probabilities=named(face.probabilities), weight=own_shares[0], age=0),
        )

    def _alone(self, message: Message, forced: bool) -> Output:
        if message.kind == "gap":
            return Output(message, None)
        window: SpeechEmotion = message.payload
        heard = shared(window.probabilities)
        weight = self._voice_weight * _trust(window) * certainty(heard)
        result = self._smoother.push("voice", message.pts, pool([heard], [1.0]), weight)
        emotion, confidence = likeliest(result)
        alone = VoiceEmotion(emotion=emotion, confidence=confidence, probabilities=named(result))
        voice = _voice(window, message.pts, 1.0)
        return Output(message, Emotions(source="voice", faces=[], voice=voice, alone=alone, forced=forced))


def _trust(window: SpeechEmotion) -> float:
    """How far a window can be trusted, 0..1: by how much of it was voiced, and by its length.

    On unseen actors the UAR above chance grows about linearly with the length and levels off at two seconds
    (docs/models/speech.md: 16 points below one second, 34 up to two, 48 beyond).
    """
    return window.voiced * min(1.0, (window.end - window.start) / LONG_ENOUGH)


def _voice(window: SpeechEmotion, pts: int, share: float) -> Voice:
    heard = named(shared(window.probabilities))
    return Voice(probabilities=heard, weight=share, age=pts - window.end, start=window.start, end=window.end)
