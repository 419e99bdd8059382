"""What a result says, in the one form of all who show it: who, what, how sure, and whether that is uncertain."""

from typing import NamedTuple

from emopipe.stages.types import Emotions, FaceGeometry, Modality, PersonEmotion


class Finding(NamedTuple):
    """What one face, the voice, or both together express.

    Attributes:
        face: its id; None for the voice by itself.
        voice: whether the voice has a part in it.
    """

    face: int | None
    voice: bool
    probabilities: dict[str, float]
    uncertain: bool

    @property
    def who(self) -> str:
        """`face 3`, `voice` or `face 3 + voice`."""
        if self.face is None:
            return "voice"
        return f"face {self.face} + voice" if self.voice else f"face {self.face}"

    @property
    def emotion(self) -> str:
        """The likeliest label; of equally likely ones the first."""
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def confidence(self) -> float:
        """The likeliest label's probability."""
        return self.probabilities[self.emotion]

    @property
    def text(self) -> str:
        """`face 3 + voice: happy 71 %, uncertain`."""
        return f"{self.who}: {verdict(self.emotion, self.confidence, self.uncertain)}"


def verdict(emotion: str, confidence: float, uncertain: bool) -> str:
    """`happy 71 %`, or `happy 41 %, uncertain`."""
    return f"{emotion} {percent(confidence)}{', uncertain' if uncertain else ''}"


def percent(share: float) -> str:
    """`71 %`."""
    return f"{100 * share:.0f} %"


def geometry_text(geometry: FaceGeometry) -> str:
    """`head 3° left, 5° down · gaze 4° right, 2° up`, as the picture shows them; `uncertain` where that is so."""
    head = pointing(geometry.yaw, geometry.pitch)
    gaze = pointing(geometry.gaze_yaw, geometry.gaze_pitch)
    return f"head {head} · gaze {gaze}{', uncertain' if geometry.uncertain else ''}"


def pointing(yaw: float, pitch: float) -> str:
    """`3° left, 5° down`, of degrees to the right and up."""
    return f"{abs(yaw):.0f}° {'right' if yaw > 0 else 'left'}, {abs(pitch):.0f}° {'up' if pitch > 0 else 'down'}"


def findings(emotions: Emotions) -> list[Finding]:
    """The finding of each face, with the voice where it is heard, and then that of the voice by itself."""
    voice = voice_finding(emotions)
    faces = [Finding(face.id, _hears(emotions, face), face.probabilities, face.uncertain) for face in emotions.faces]
    return faces if voice is None else [*faces, voice]


def face_finding(face: PersonEmotion) -> Finding:
    """What a face expresses by itself, whatever the voice says."""
    return _alone(face.id, face.face)


def voice_finding(emotions: Emotions) -> Finding | None:
    """What the voice expresses by itself; None if nobody speaks."""
    if emotions.alone is not None:
        return Finding(None, True, emotions.alone.probabilities, emotions.alone.uncertain)
    return None if emotions.voice is None else _alone(None, emotions.voice)


def _alone(face: int | None, modality: Modality) -> Finding:
    return Finding(face, face is None, modality.probabilities, modality.uncertain)


def _hears(emotions: Emotions, face: PersonEmotion) -> bool:
    return emotions.voice is not None and face.face.weight < 1
