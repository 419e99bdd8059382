"""How far a voice's logits are to be believed: by how long one has listened, how unlike the training data the speech
is, and how well its speaker is known."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from emopipe.models.calibration import Doubles, Knot, temperature_at


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

    `knots` are (seconds of speech, temperature), read by `temperature_at`. `emopipe.training.speech.temperature` fits
    all three.
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
