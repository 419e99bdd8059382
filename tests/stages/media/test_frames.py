"""Luma and small images of any pixel format."""

from fractions import Fraction

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from emopipe.stages.media.frames import FrameConverter

WIDTH, HEIGHT = 90, 64  # lines of 90 bytes are padded


def steps() -> NDArray[np.uint8]:
    """Five grey bars from black to white, RGB."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for bar, level in enumerate((0, 64, 128, 192, 255)):
        image[:, bar * 18 : (bar + 1) * 18] = level
    return image


def frame(pix_fmt: str, image: NDArray[np.uint8] | None = None) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(steps() if image is None else image, "rgb24").reformat(format=pix_fmt)


@pytest.mark.parametrize(
    "pix_fmt",
    [
        *("yuv420p", "yuvj420p", "yuv422p", "yuv444p", "yuv410p", "yuva420p", "nv12", "nv21", "gray", "yuyv422"),
        *("yuv420p10le", "yuv444p12be", "p010le", "gray10le", "gray16be", "rgb24", "bgra", "gbrp", "rgb565le", "rgb8"),
    ],
)
def test_luma_is_in_full_range_whatever_the_format(pix_fmt: str) -> None:
    picture = FrameConverter().read(frame(pix_fmt))
    assert picture.luma.shape == (HEIGHT, WIDTH)
    assert picture.luma.flags.c_contiguous
    tolerance = 40 if pix_fmt in ("rgb565le", "rgb8") else 3  # few bits a colour
    for bar, level in enumerate((0, 64, 128, 192, 255)):
        middle = slice(bar * 18 + 5, bar * 18 + 13)
        assert picture.luma[:, middle].mean() == pytest.approx(level, abs=tolerance)
        assert picture.small[:, middle].mean() == pytest.approx(level, abs=tolerance)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuvj420p", "gray", "rgb24"])
def test_a_reduced_picture_is_as_bright(pix_fmt: str) -> None:
    whole = FrameConverter().read(frame(pix_fmt)).luma
    half = FrameConverter(luma_size=45).read(frame(pix_fmt)).luma
    assert half.shape == (32, 45)
    assert np.abs(half[:, 4::9].astype(int) - whole[::2, 8::18].astype(int)).max() <= 3


def test_every_limited_level() -> None:
    ramp = np.zeros((24, 256), np.uint8)
    ramp[:16] = np.arange(256)
    ramp[16:] = 128
    luma = FrameConverter().read(av.VideoFrame.from_ndarray(ramp, "yuv420p")).luma[0].astype(int)
    assert np.abs(luma - np.clip((np.arange(256) - 16) * 255 / 219, 0, 255)).max() <= 1
    assert (np.diff(luma) >= 0).all()


def test_colours_stay() -> None:
    red = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    red[..., 0] = 220
    assert np.abs(FrameConverter().read(frame("yuv420p", red)).small.astype(int) - red).max() <= 4


@pytest.mark.parametrize(
    ("size", "small", "luma"),
    [
        ((1280, 720), (180, 320), (720, 1280)),
        ((720, 1280), (320, 180), (1280, 720)),
        ((3840, 2160), (180, 320), (720, 1280)),
        ((321, 179), (178, 320), (179, 321)),
        ((200, 100), (100, 200), (100, 200)),
        ((2000, 2), (1, 320), (1, 1280)),
        ((1, 1), (1, 1), (1, 1)),
    ],
)
def test_sizes(size: tuple[int, int], small: tuple[int, int], luma: tuple[int, int]) -> None:
    picture = FrameConverter().read(av.VideoFrame(*size, "yuv420p"))
    assert picture.small.shape == (*small, 3)
    assert picture.luma.shape == luma


@pytest.mark.parametrize(("aspect", "shape"), [(Fraction(4, 3), (360, 640)), (Fraction(3, 4), (480, 480))])
def test_pixels_become_square(aspect: Fraction, shape: tuple[int, int]) -> None:
    assert FrameConverter().read(av.VideoFrame(640, 480, "yuv420p"), aspect).luma.shape == shape


def test_the_size_may_change_on_the_way() -> None:
    pictures = FrameConverter()
    shapes = [
        pictures.read(frame("yuv420p", np.zeros((h, w, 3), np.uint8))).luma.shape for w, h in ((64, 48), (96, 32))
    ]
    assert shapes == [(48, 64), (32, 96)]
