"""Valence and arousal *derived* from a distribution over emotions; nobody has measured them on the face or the voice.

They are where the distribution lies on a published map: the mean of the places that people give the names of the
emotions, each by its probability. So they say nothing that the distribution does not say, and no other shades: a mild
joy and a great one with the same probabilities are at one place.
"""

from collections.abc import Mapping

PLACES = {
    "angry": (-0.51, 0.59),
    "disgust": (-0.60, 0.35),
    "fear": (-0.64, 0.60),
    "happy": (0.81, 0.51),
    "sad": (-0.63, -0.27),
    "surprise": (0.40, 0.67),
    "neutral": (0.0, 0.0),
}
"""Pleasure and arousal (-1..1) of angry, disgusted, fearful, happy, sad and surprised, as people rate these words
(Russell & Mehrabian 1977, Journal of Research in Personality 11(3), 273-294); neutral is the middle of both scales."""


def derived_affect(probabilities: Mapping[str, float]) -> tuple[float | None, float | None]:
    """Valence and arousal (-1..1) of a distribution over `emopipe.models.labels.FACE`; None of one over other labels,
    which have no place on the map."""
    if not PLACES.keys() >= probabilities.keys():
        return None, None
    valence = sum(share * PLACES[label][0] for label, share in probabilities.items())
    arousal = sum(share * PLACES[label][1] for label, share in probabilities.items())
    return valence, arousal
