"""Fusion as a fold over the ordered events of one stream; pure, so usable without the runtime.

Each frame gives one result at its time: every face fused with the newest window of speech that ended no longer than its
`hold` before, and no less than a `settling` time, in which the voice's network judges it: so that no face waits for
that. For the order of the events a frame with a face is therefore so much older than it is. A window is heard with a
face if the next frame, within `hold`, shows one; otherwise the voice gives a result of its own at the window's end.
Whether a frame follows is the only thing asked, never how much an input had promised before it ended, which may depend
on timing: so a window is pending until the next frame has come out of the join, or can no longer come.

Only distributions over emotions are fused. What a model of another maker says in labels of its own is smoothed, and
stands by itself.
"""

from collections import Counter, deque
from typing import NamedTuple

from emopipe.models.fusion.attribution import VoiceAttribution, voice_share
from emopipe.models.fusion.networks import MAX_WINDOWS
from emopipe.models.fusion.opinion_pool import certainty, likeliest, named, shared
from emopipe.models.labels import FACE, SPEECH
from emopipe.models.thresholds import Thresholds
from emopipe.pipeline.join import Ended, Released
from emopipe.pipeline.message import FOREVER, Message
from emopipe.pipeline.stream_join import Fold, PartnerRule
from emopipe.stages.fusion.combiners import Combined, Combiner
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

CERTAIN = Thresholds(0.0, 0.0)


class Output(NamedTuple):
    """The result to emit for `cause`, at its pts; a gap if it is none."""

    cause: Message
    result: Emotions | None


class Fuser(Fold[Output]):
    """Folds faces and speech (`Released` messages of `FaceEmotions` and `SpeechEmotion`, gaps among them) into results.

    With several faces the voice's reported weight is its mean one.

    Args:
        combine: what makes one distribution of a face and the voice (see `stages.fusion.combiners`).
        partner: which window is the partner of a frame; one waits as long for a frame.
        settling: how long ago a window must have ended to be a face's partner, in ns.
        smoother: of faces by their id, and of the voice alone.
        threshold: the confidence below which a result is uncertain.
        alone: the confidences below which a face, or the voice, would be by itself.
        assumed: the confidence below which a result is uncertain that a model of another maker has a part in: of its
            calibration nothing is known.
        attribution: who of the faces speaks; without it the voice is everybody's.
        faces: whether faces may come at all.
        counters: `windows_superseded` counts windows heard with a face that none of its frames had for a partner: a
            newer one was there before, or no frame came once it had settled.
    """

    def __init__(
        self,
        combine: Combiner,
        *,
        partner: PartnerRule,
        settling: int = 0,
        smoother: Smoother,
        threshold: float = 0.0,
        alone: Thresholds = CERTAIN,
        assumed: float = 0.0,
        attribution: VoiceAttribution | None = None,
        faces: bool = True,
        counters: Counter[str] | None = None,
    ) -> None:
        self._partner = partner
        self._settling = settling
        self._smoother = smoother
        self._combine = combine
        self._threshold = threshold
        self._thresholds = alone
        self._assumed = assumed
        self._attribution = attribution
        self._faces_ended = not faces
        self._counters: Counter[str] = Counter() if counters is None else counters
        self._recent: deque[Message] = deque(maxlen=MAX_WINDOWS)  # windows in order; the newest may be a partner
        self._pending: deque[Message] = deque()  # windows that wait for the next frame, and the gaps behind them
        self._unused: deque[int] = deque()  # the pts of windows heard with a face that have not been a partner yet
        self._last_place = 0  # of a frame
        self._last_seen = -1  # the pts of the last frame with a face

    @property
    def watermark(self) -> int:
        return self._pending[0].pts if self._pending else FOREVER

    @property
    def pending(self) -> int:
        return len(self._pending)

    def place(self, input: str, message: Message) -> int:
        if input != "faces":
            return message.pts
        shows_face = message.kind == "data" and bool(message.payload.faces)
        self._last_place = max(self._last_place, message.pts - self._settling * shows_face)
        return self._last_place

    def next_place(self, input: str, watermark: int) -> int:
        return max(self._last_place, watermark - self._settling) if input == "faces" else watermark

    def push(self, event: Released[Message] | Ended) -> list[Output]:
        if isinstance(event, Ended):
            self._faces_ended |= event.input == "faces"
            if self._faces_ended:
                self._supersede(len(self._unused))
                return self.flush_voice_only()
            return []
        message = event.item
        outputs = self.flush_before(event.pts)
        if message.kind == "data" and event.input == "faces":
            seen: FaceEmotions = message.payload
            if self._attribution is not None:
                self._attribution.see(message.pts, {face.id: face.mouth for face in seen.faces})
            if seen.faces:
                self._last_seen = message.pts
                outputs += self._take_with_a_face()
            else:
                outputs += self.flush_voice_only()
            return [*outputs, Output(message, self._frame_result(message, seen.faces, event.forced))]
        if message.kind == "data" and event.input == "speech":
            self._hear(message)
        if event.input == "speech" and message.pts <= self._last_seen:  # the next frame that followed it showed a face
            if message.kind == "data":
                self._unused.append(message.pts)
                self._supersede(int(self._faces_ended))
            return outputs
        self._pending.append(message)
        if message.kind == "data" and (event.forced or self._faces_ended):
            return outputs + self.flush_voice_only(event.forced)
        return outputs + self.flush_before(event.pts)

    def on_silence(self, input: str) -> list[Output]:
        return self.flush_voice_only() if input == "faces" else []

    def on_return(self, input: str) -> None:
        if input == "faces":
            self._faces_ended = False

    def on_late(self, input: str, message: Message) -> None:
        if input == "speech" and (not self._recent or self._recent[-1].pts < message.pts):
            self._hear(message)

    def flush_before(self, watermark: int) -> list[Output]:
        outputs: list[Output] = []
        while self._pending and (
            self._pending[0].kind == "gap" or self._pending[0].pts + self._partner.age < watermark
        ):
            outputs.append(self._voice_result(self._pending.popleft(), forced=False))
        return outputs

    def flush_voice_only(self, forced: bool = False) -> list[Output]:
        """The results of all pending windows, as heard without a face."""
        outputs = [self._voice_result(message, forced) for message in self._pending]
        self._pending.clear()
        return outputs

    def _hear(self, message: Message) -> None:
        self._recent.append(message)
        if self._attribution is not None:
            window: SpeechEmotion = message.payload
            self._attribution.hear(window.end, message.duration, window.envelope.tolist(), window.level)

    def _take_with_a_face(self) -> list[Output]:
        gaps = [Output(message, None) for message in self._pending if message.kind == "gap"]
        self._unused += [message.pts for message in self._pending if message.kind == "data"]
        self._pending.clear()
        return gaps

    def _supersede(self, count: int) -> None:
        """The `count` first windows that have not been a partner will never be one."""
        self._counters["windows_superseded"] += count
        for _ in range(count):
            self._unused.popleft()

    def _frame_result(self, message: Message, faces: list[FaceEmotion], forced: bool) -> Emotions:
        settled = [each for each in self._recent if each.pts <= message.pts - self._settling]
        partner = self._partner.choose(settled[-1] if settled and faces else None, message.pts)
        oldest = message.pts - self._partner.age if partner is None else partner.pts
        self._supersede(sum(pts < oldest for pts in self._unused))
        if partner is not None and self._unused and self._unused[0] == partner.pts:
            self._unused.popleft()
        windows = [each.payload for each in settled] if partner is not None else []
        speaking = dict.fromkeys((face.id for face in faces), float(partner is not None))
        if self._attribution is not None and partner is not None:
            speaking = self._attribution.probabilities()
        labels: list[str] = message.payload.labels
        people = [self._person_result(message.pts, face, labels, windows, speaking[face.id]) for face in faces]
        voice = None
        if partner is not None:
            share = sum(1 - person.face.weight for person in people) / len(people)
            voice = self._voice(partner.payload, message.pts, share)
        return Emotions(source="face", faces=people, voice=voice, alone=None, forced=forced)

    def _person_result(
        self, pts: int, face: FaceEmotion, own: list[str], windows: list[SpeechEmotion], speaking: float
    ) -> PersonEmotion:
        """A face, whose model has named its `own` labels if it is another maker's."""
        labels = tuple(own) or FACE
        heard = [window for window in windows if labels == FACE and tuple(window.labels) in ((), SPEECH)]
        if labels == FACE:
            combined = self._combine.person(pts, face, heard, voice_share(speaking))
        else:
            combined = Combined(face.probabilities, 1.0, face.quality * certainty(face.probabilities))
        result = self._smoother.push(face.id, pts, combined.probabilities, combined.evidence)
        emotion, confidence = likeliest(result, labels)
        seen = named(face.probabilities, labels)
        others = bool(own) or any(window.labels for window in heard)
        return PersonEmotion(
            id=face.id,
            box=face.box,
            emotion=emotion,
            confidence=confidence,
            probabilities=named(result, labels),
            face=Modality(
                probabilities=seen,
                weight=combined.face_weight,
                age=0,
                uncertain=max(seen.values()) < (self._assumed if own else self._thresholds.face),
            ),
            uncertain=confidence < (self._assumed if others else self._threshold),
            speaking=speaking,
            geometry=face.geometry,
        )

    def _voice_result(self, message: Message, forced: bool) -> Output:
        if message.kind == "gap":
            return Output(message, None)
        window: SpeechEmotion = message.payload
        fused = tuple(window.labels) in ((), SPEECH)
        labels = FACE if fused else tuple(window.labels)
        if fused:
            earlier = [each.payload for each in self._recent if each.pts < message.pts]
            combined = self._combine.voice(message.pts, [*earlier, window])
        else:
            combined = Combined(window.probabilities, 0.0, certainty(window.probabilities))
        result = self._smoother.push("voice", message.pts, combined.probabilities, combined.evidence)
        emotion, confidence = likeliest(result, labels)
        alone = VoiceEmotion(
            emotion=emotion,
            confidence=confidence,
            probabilities=named(result, labels),
            uncertain=confidence < (self._assumed if window.labels else self._threshold),
        )
        voice = self._voice(window, message.pts, 1.0)
        return Output(message, Emotions(source="voice", faces=[], voice=voice, alone=alone, forced=forced))

    def _voice(self, window: SpeechEmotion, pts: int, share: float) -> Voice:
        own = tuple(window.labels)
        heard = named(shared(window.probabilities)) if own in ((), SPEECH) else named(window.probabilities, own)
        return Voice(
            probabilities=heard,
            weight=share,
            age=pts - window.end,
            uncertain=max(heard.values()) < (self._assumed if own else self._thresholds.voice),
            start=window.start,
            end=window.end,
        )
