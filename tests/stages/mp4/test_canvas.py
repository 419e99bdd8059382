"""Pictures restored from luma and a small RGB image, and drawn on."""

from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace

from emopipe.stages.media.frames import FrameConverter
from emopipe.stages.mp4.canvas import Canvas, Rect, Restorer, even_size, matrix_of
from emopipe.stages.types import VideoFrame


def colourful(width: int = 320, height: int = 180) -> av.VideoFrame:
    """Smooth colours, as no picture of grey alone would show what becomes of chroma."""
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    image = np.stack([255 * across, 255 * down, 255 * (1 - across)], -1)
    return av.VideoFrame.from_ndarray(image.astype(np.uint8), "rgb24")


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - other) ** 2)))


def flat(shape: tuple[int, int], grey: int = 128) -> VideoFrame:
    return VideoFrame(luma=np.full(shape, grey, np.uint8), small=np.full((*shape, 3), grey, np.uint8))


@pytest.mark.parametrize("matrix", [Colorspace.ITU601, Colorspace.ITU709])
@pytest.mark.parametrize("small_size", [320, 80])
def test_a_picture_comes_back_in_its_colours(matrix: Colorspace, small_size: int) -> None:
    source = colourful().reformat(format="yuv420p", dst_colorspace=matrix)
    frame = FrameConverter(small_size=small_size).read(source)
    assert matrix_of(frame) == matrix
    canvas = Restorer(320, 180, matrix).read(frame)
    assert psnr(canvas.frame.to_ndarray(format="rgb24"), colourful().to_ndarray(format="rgb24")) > 33


@pytest.mark.parametrize(("shape", "size"), [((101, 67), (68, 102)), ((1, 1), (2, 2)), ((90, 160), (160, 90))])
def test_odd_sizes_are_made_even(shape: tuple[int, int], size: tuple[int, int]) -> None:
    frame = flat(shape, 200)
    assert even_size(frame) == size
    canvas = Restorer(*size, Colorspace.ITU601).read(frame)
    assert (canvas.frame.width, canvas.frame.height) == size
    assert abs(canvas.frame.to_ndarray(format="gray").astype(int) - 200).max() <= 2


def test_a_size_of_its_own() -> None:
    assert even_size(flat((90, 160)), 640) == (640, 360)
    assert even_size(flat((160, 90)), 320) == (180, 320)


def test_a_view_of_another_shape_gets_bars() -> None:
    canvas = Restorer(160, 90, Colorspace.ITU601).read(flat((100, 50), 255))
    grey = canvas.frame.to_ndarray(format="gray")
    left, top, right, bottom = canvas.view
    assert Fraction(right - left, bottom - top) == pytest.approx(Fraction(1, 2), abs=0.03)
    assert (top, bottom) == (0, 90)
    assert grey[:, left + 2 : right - 2].min() > 250
    assert max(grey[:, : left - 2].max(), grey[:, right + 2 :].max()) < 3


def blank() -> Canvas:
    return Restorer(64, 48, Colorspace.ITU601).read(flat((48, 64), 0))


def test_drawing_touches_nothing_else() -> None:
    canvas = blank()
    canvas.fill(Rect(8, 8, 24, 16), (255, 0, 0))
    rgb = canvas.frame.to_ndarray(format="rgb24").astype(int)
    assert abs(rgb[10:14, 10:22] - [255, 0, 0]).max() < 6
    rgb[7:17, 7:25] = 0
    assert rgb.max() < 4


def test_half_opaque_is_halfway() -> None:
    canvas = blank()
    canvas.fill(Rect(0, 0, 64, 48), (255, 255, 255), 0.5)
    assert abs(canvas.frame.to_ndarray(format="gray").astype(int) - 128).max() <= 2


@pytest.mark.parametrize("corner", [(-5, -3), (60, 45), (200, 200), (3, 5)])
def test_a_stamp_may_lie_across_any_edge(corner: tuple[int, int]) -> None:
    canvas = blank()
    canvas.stamp(*corner, np.ones((9, 11), np.float32), (255, 255, 255))
    grey = canvas.frame.to_ndarray(format="gray")
    inside = Rect(*corner, corner[0] + 11, corner[1] + 9).within(Rect(0, 0, 64, 48))
    assert int((grey > 250).sum()) == (inside.right - inside.left) * (inside.bottom - inside.top)
