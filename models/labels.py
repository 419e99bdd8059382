"""Both label lists, their order, how one maps onto the other, and what labels of other models are to them.

The order is that of the classifiers' outputs: FER2013's for faces, RAVDESS's codes 01–08 for voices.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from emopipe.pipeline.text import listing, show

FACE = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
SPEECH = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")

SPEECH_TO_FACE = {
    "neutral": "neutral",
    # FER2013 has no calm: where both must share one list, calm counts as neutral.
    "calm": "neutral",
    "happy": "happy",
    "sad": "sad",
    "angry": "angry",
    "fearful": "fear",
    "disgust": "disgust",
    "surprised": "surprise",
}
FACE_TO_SPEECH = {face: speech for speech, face in SPEECH_TO_FACE.items() if speech != "calm"}

OTHER_NAMES = {
    "anger": "angry",
    "calmness": "calm",
    "disgusted": "disgust",
    "afraid": "fear",
    "scared": "fear",
    "happiness": "happy",
    "joy": "happy",
    "joyful": "happy",
    "sadness": "sad",
}
"""What else the emotions are called by models of others; `calm` counts as neutral where a face's labels are meant."""

MAX_LABELS = 64
_NAME = re.compile(r"\w(?:[\w .+/-]{0,38}\w)?")


class Vocabulary(NamedTuple):
    """The labels that a model's distributions are given in, and where each of its own stands among them.

    Attributes:
        labels: the emotions, where the model knows nothing else; else its own.
        places: for each of the model's own labels, its place in `labels`.
    """

    labels: tuple[str, ...]
    places: tuple[int, ...]

    def translate(self, distribution: Sequence[float]) -> list[float]:
        """A distribution over the model's own labels as one over `labels`."""
        result = [0.0] * len(self.labels)
        for place, probability in zip(self.places, distribution, strict=True):
            result[place] += probability
        return result


def vocabulary(own: Sequence[str], emotions: Sequence[str], meant: Mapping[str, str] | None = None) -> Vocabulary:
    """How a model's `own` labels are given, where others know `emotions` (`FACE` or `SPEECH`).

    Either all of them are emotions, by their names or as `meant` says, or they stay what they are: a distribution with
    a part left out would claim what the model does not.
    """
    counted = [as_emotion(label, emotions, meant) for label in own]
    if None in counted:
        return Vocabulary(tuple(own), tuple(range(len(own))))
    return Vocabulary(tuple(emotions), tuple(emotions.index(label) for label in counted if label is not None))


def as_emotion(label: str, emotions: Sequence[str], meant: Mapping[str, str] | None = None) -> str | None:
    """The one of `emotions` (`FACE` or `SPEECH`) that a label stands for; None if it stands for none."""
    name = (meant or {}).get(label, label).strip().lower()
    name = OTHER_NAMES.get(name, name)
    return next((each for each in (name, SPEECH_TO_FACE.get(name), FACE_TO_SPEECH.get(name)) if each in emotions), None)


def unfused(what: str, labels: Sequence[str], emotions: Sequence[str]) -> str:
    """Why a model's results in these labels, `what` names them, are not fused with others; empty where they are."""
    others = [label for label in labels if as_emotion(label, emotions) is None]
    if not others:
        return ""
    return (
        f"{what}: labels that are no emotions ({listing(others)}), so that faces and voice stand side by side and are "
        "not fused; say by `emotions` of their stage what those count as"
    )


def labels_problem(labels: Sequence[str]) -> str:
    """The reason why these cannot be a model's labels, as a sentence for the user; empty if they can."""
    if not 2 <= len(labels) <= MAX_LABELS:
        return f"{len(labels)} labels; a model has 2 to {MAX_LABELS}"
    for place, label in enumerate(labels):
        if not _NAME.fullmatch(label):
            return f"{show(label)} is no label: up to 40 letters, digits, spaces and . + / _ - are"
        if label in labels[:place]:
            return f"{show(label)} is there twice; give each output a name of its own"
    return ""
