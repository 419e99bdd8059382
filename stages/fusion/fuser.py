"""Fusion as a fold over the ordered events of one stream; pure, so usable without the runtime.

Each frame gives one result at its time: every face fused with the newest window of speech that ended no longer
than `hold` before. A window is heard with a face if the next frame, within `hold`, shows one; otherwise the voice
gives a result of its own at the window's end. Whether a frame follows is the only thing asked, never how much an
input had promised before it ended, which may depend on timing: so a window is held until the next frame has come
out of the join, or can no longer come.
"""

from collections import Counter, deque
from typing import NamedTuple

from emopipe.models.fusion.networks import MAX_WINDOWS
from emopipe.models.fusion.opinion_pool import likeliest, named, shared
from emopipe.pipeline.join import Ended, Released
from emopipe.pipeline.message import FOREVER, Message
from emopipe.stages.fusion.combiners import Combiner
from emopipe.stages.fusion.smoothing import Smoother
from emopipe.stages.types import (
    Emotions,
    FaceEmotion,
    FaceEmotions,
    Modality,
    PersonEmotion,
    SpeechEmotion,
    Voice,
    VoiceEmotion,
)


class Output(NamedTuple):
    """What to emit for `cause`, at its pts; a gap where `result` is none."""

    cause: Message
    result: Emotions | None


class Fuser:
    """Folds faces and speech (`Released` messages of `FaceEmotions` and `SpeechEmotion`, gaps among them) into results.

    With several faces the voice's reported weight is its mean one.

    Args:
        combine: what makes one distribution of a face and the voice (see `stages.fusion.combiners`).
        hold: how long a window stays the partner of frames, in ns.
        smoother: of faces by their id, and of the voice alone.
        threshold: the confidence below which a result is uncertain.
        faces: whether faces may come at all.
        counters: `windows_superseded` counts windows heard with a face that a newer one replaced before any frame.
    """

    def __init__(
        self,
        combine: Combiner,
        *,
        hold: int,
        smoother: Smoother,
        threshold: float = 0.0,
        faces: bool = True,
        counters: Counter[str] | None = None,
    ) -> None:
        self._hold = hold
        self._smoother = smoother
        self._combine = combine
        self._threshold = threshold
        self._faces_over = not faces
        self._counters: Counter[str] = Counter() if counters is None else counters
        self._heard: deque[Message] = deque(maxlen=MAX_WINDOWS)  # windows in order; the newest may be a partner
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
            self._heard.append(message)
            if event.forced or self._faces_over:
                return outputs + self.release(event.forced)
        return outputs + self.settle(event.pts)

    def reopen(self) -> None:
        """Faces, which had ended, are back."""
        self._faces_over = False

    def late(self, window: Message) -> None:
        """A window that came too late for its place (live): what follows may still be fused with it."""
        if not self._heard or self._heard[-1].pts < window.pts:
            self._heard.append(window)

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
        partner = self._heard[-1] if self._heard and faces else None
        if partner is not None and message.pts - partner.pts > self._hold:
            partner = None
        heard = [each.payload for each in self._heard] if partner is not None else []
        people = [self._person(message.pts, face, heard) for face in faces]
        voice = None
        if partner is not None:
            share = sum(1 - person.face.weight for person in people) / len(people)
            voice = _voice(partner.payload, message.pts, share)
        return Emotions(source="face", faces=people, voice=voice, alone=None, forced=forced)

    def _person(self, pts: int, face: FaceEmotion, heard: list[SpeechEmotion]) -> PersonEmotion:
        combined = self._combine.person(pts, face, heard)
        result = self._smoother.push(face.id, pts, combined.probabilities, combined.sureness)
        emotion, confidence = likeliest(result)
        return PersonEmotion(
            id=face.id,
            box=face.box,
            emotion=emotion,
            confidence=confidence,
            probabilities=named(result),
            face=Modality(probabilities=named(face.probabilities), weight=combined.face_weight, age=0),
            uncertain=confidence < self._threshold,
        )

    def _alone(self, message: Message, forced: bool) -> Output:
        if message.kind == "gap":
            return Output(message, None)
        window: SpeechEmotion = message.payload
        earlier = [each.payload for each in self._heard if each.pts < message.pts]
        combined = self._combine.voice(message.pts, [*earlier, window])
        result = self._smoother.push("voice", message.pts, combined.probabilities, combined.sureness)
        emotion, confidence = likeliest(result)
        alone = VoiceEmotion(
            emotion=emotion,
            confidence=confidence,
            probabilities=named(result),
            uncertain=confidence < self._threshold,
        )
        voice = _voice(window, message.pts, 1.0)
        return Output(message, Emotions(source="voice", faces=[], voice=voice, alone=alone, forced=forced))


def _voice(window: SpeechEmotion, pts: int, share: float) -> Voice:
    heard = named(shared(window.probabilities))
    return Voice(probabilities=heard, weight=share, age=pts - window.end, start=window.start, end=window.end)
