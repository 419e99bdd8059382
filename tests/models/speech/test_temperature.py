"""A temperature that depends on how long one has listened, how strange the speech is, and how well its speaker is
known."""

import numpy as np
import pytest

from emopipe.models.speech.temperature import Context, Temperature


def test_length_distance_and_speaker_each_multiply() -> None:
    temperature = Temperature([(0.5, 1.0), (2.0, 4.0)], distance=0.5, known=-1.0)
    context = Context(np.array([1.0, 1.0, 1.0, 9.0]), np.array([1.0, 4.0, 1.0, 1.0]), np.array([0.0, 0.0, 1.0, 0.0]))
    assert temperature.at(context) == pytest.approx([2.0, 4.0, 2 / np.e, 4.0])
