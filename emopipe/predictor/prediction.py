"""What a prediction holds, as plain data: `msgspec.json.encode` writes it, `msgspec.to_builtins` makes dictionaries."""

from collections.abc import Sequence
from typing import Any, Self

import msgspec


class EmotionPrediction(msgspec.Struct, kw_only=True):
    """What is expressed: a calibrated distribution, its likeliest label, and whether that is too doubtful to give."""

    emotion: str
    confidence: float
    uncertain: bool
    probabilities: dict[str, float]

    @classmethod
    def of(cls, labels: Sequence[str], distribution: Sequence[float], threshold: float, **fields: Any) -> Self:
        """A distribution over `labels` as a prediction; the first of equally probable labels counts.

        Args:
            threshold: the confidence below which it is uncertain.
            fields: what else the class has.
        """
        best = max(range(len(distribution)), key=distribution.__getitem__)
        return cls(
            emotion=labels[best],
            confidence=float(distribution[best]),
            uncertain=bool(distribution[best] < threshold),
            probabilities=dict(zip(labels, map(float, distribution), strict=True)),
            **fields,
        )


class FacePrediction(EmotionPrediction, kw_only=True):
    """What one face expresses, over `emopipe.models.labels.FACE`.

    `box` is left, top, width and height relative to the picture, `score` the detector's, `quality` how far the crop
    can be trusted; all 0..1.
    """

    box: tuple[float, float, float, float]
    score: float
    quality: float


class WindowPrediction(EmotionPrediction, kw_only=True):
    """What one window of speech expresses, over `emopipe.models.labels.SPEECH`.

    Times are in s, `level` in dB of full scale.
    """

    start: float
    end: float
    voiced: float
    level: float


class VoicePrediction(EmotionPrediction, kw_only=True):
    """What a recording's whole speech expresses, over `emopipe.models.labels.SPEECH`, and its windows as in a stream.

    `seconds` is how much speech there was, pauses within it included.
    """

    seconds: float
    windows: list[WindowPrediction]


class Prediction(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What was made of a picture, a sound, both together, or a film.

    Attributes:
        image, audio, video: the files it is about.
        faces: of the picture, from left to right; none where no picture was given.
        voice: of the sound; none where nobody speaks.
        fused: what both say together, over `models.labels.FACE` (a calm voice counts as neutral): one for each face,
            or one for the voice where there is no face. Only where a picture and a sound were given.
        moments: the time line of a film: the records that the sink `jsonl` writes (docs/wire-format.md).
        damage: what could not be read of the sound or film.
    """

    image: str = ""
    audio: str = ""
    video: str = ""
    faces: list[FacePrediction] | None = None
    voice: VoicePrediction | None = None
    fused: list[EmotionPrediction] = []
    moments: list[dict[str, Any]] = []
    damage: list[str] = []
