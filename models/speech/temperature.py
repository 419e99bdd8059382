"""The temperature of a voice's logits, which depends on the length of the speech."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Doubles = NDArray[np.float64]
Knot = tuple[float, float]
"""(seconds of speech, temperature)."""


def temperature_at(knots: Sequence[Knot], seconds: ArrayLike) -> Doubles:
    """The temperature for each of these lengths of speech [N].

    Between two knots its logarithm is linear in the logarithm of the length; before the first and behind the last it
    stays. `emopipe.training.speech.temperature` fits the knots.
    """
    places, temperatures = np.log(np.array(knots, np.float64)).T
    result: Doubles = np.exp(np.interp(np.log(np.asarray(seconds, np.float64)), places, temperatures))
    return result
