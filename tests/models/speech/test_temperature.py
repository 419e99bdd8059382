"""A temperature that depends on how long one has listened."""

import pytest

from emopipe.models.speech.temperature import temperature_at


def test_between_and_beyond_the_knots() -> None:
    knots = [(0.5, 1.0), (2.0, 4.0)]
    assert temperature_at(knots, [0.1, 0.5, 1.0, 2.0, 9.0]) == pytest.approx([1.0, 1.0, 2.0, 4.0, 4.0])
    assert temperature_at([(1.0, 1.3)], [0.2, 5.0]) == pytest.approx([1.3, 1.3])
