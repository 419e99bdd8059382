"""Frames as JPEG: the colours, and the sharpness of the luma plane."""

import numpy as np

from emopipe.stages.media.jpeg import encode_jpeg
from tests.support.pictures import decoded, striped


def test_a_picture_has_the_right_colours_and_the_luma_planes_sharpness() -> None:
    shown = decoded(encode_jpeg(striped(), 640, 360, 90))
    assert shown.shape == (360, 640, 3)
    for x, wanted in ((100, (255, 0, 0)), (320, (0, 255, 0)), (540, (0, 0, 255))):
        assert np.abs(shown[200, x].astype(int) - wanted).max() < 30, x
    luma = shown[98:112, 320].mean(axis=1)
    assert luma.max() - luma.min() > 50


def test_it_has_the_size_that_was_asked_for_larger_or_smaller() -> None:
    for width, height in ((1, 1), (33, 7), (1280, 720), (144, 144)):
        assert decoded(encode_jpeg(striped(), width, height, 80)).shape == (height, width, 3)
