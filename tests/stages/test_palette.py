"""The emotions' colours."""

import pytest

from emopipe.models.labels import FACE
from emopipe.stages.palette import EMOTION, contrast, css, ink, rgb


def test_every_label_has_a_colour_of_its_own() -> None:
    assert tuple(EMOTION) == FACE
    assert len(set(EMOTION.values())) == len(FACE)


def test_contrast_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # a known pair: just fails 4.5


@pytest.mark.parametrize("label", FACE)
def test_colours_stand_out_from_light_and_dark_and_can_be_written_on(label: str) -> None:
    colour = EMOTION[label]
    assert contrast(colour, "#ffffff") >= 3
    assert contrast(colour, "#101418") >= 3
    assert contrast(colour, ink(colour)) >= 4.5


def test_other_forms() -> None:
    assert rgb("#0180ff") == (1, 128, 255)
    assert ink("#ffffff") == "#000000"
    assert f"--happy: {EMOTION['happy']};" in css()
