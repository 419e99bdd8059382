"""How far a voice's logits are to be believed: by how long one has listened, how unlike the training data the speech
is, and how well its speaker is known."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Doubles = NDArray[np.float64]
Knot = tuple[float, float]
"""(seconds of speech, temperature)."""


class Context(NamedTuple):
    """What is known of N rows beside what was said.

    Attributes:
        seconds: [N] of speech.
        distance: [N] from the training data; 1 is as usual, and all that a network without one knows.
        known: [N] 0..1, how much of the speaker's own statistics the row was normalised by.
    """

    seconds: Doubles
    distance: Doubles
    known: Doubles


class Temperature(NamedTuple):
    """The temperature of a row: what its length says, times distance ** `distance`, times exp(`known` * known).

    Between two knots the logarithm is linear in the logarithm of the length; before the first and behind the last it
    stays. `emopipe.training.speech.temperature` fits it.
    """

    knots: Sequence[Knot]
    distance: float = 0.0
    known: float = 0.0

    def at(self, context: Context) -> Doubles:
        """The temperature of each row [N]."""
        logs = np.log(temperature_at(self.knots, context.seconds))
        logs = logs + self.distance * np.log(np.maximum(context.distance, 1e-3)) + self.known * context.known
        result: Doubles = np.exp(logs)
        return result


def temperature_at(knots: Sequence[Knot], seconds: ArrayLike) -> Doubles:
    """What the length alone says of these lengths of speech [N]."""
    places, temperatures = np.log(np.array(knots, np.float64)).T
    result: Doubles = np.exp(np.interp(np.log(np.maximum(np.asarray(seconds, np.float64), 1e-3)), places, temperatures))
    return result
