"""A `VideoFrame` as a frame to encode and to draw on: yuv420p, restored from its luma and its small RGB image.

Luma never leaves its own form: it is the decoder's, put from full into the limited range that players expect. Chroma
comes from the small image, scaled up: what 4:2:0 does anyway, only coarser. Over an RGB frame this costs half.
"""

from fractions import Fraction
from typing import NamedTuple

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from emopipe.stages.palette import RGB
from emopipe.stages.types import VideoFrame

Plane = NDArray[np.uint8]

_WEIGHTS = {Colorspace.ITU601: (0.299, 0.587, 0.114), Colorspace.ITU709: (0.2126, 0.7152, 0.0722)}
_TAGS = {Colorspace.ITU601: 6, Colorspace.ITU709: 1}  # H.273's numbers for the matrix
_LIMITED = np.round(16 + np.arange(256) * 219 / 255).astype(np.uint8)
_SCALER_THREADS = 1


class Rect(NamedTuple):
    """Whole pixels: left, top, right and bottom, the last two not included."""

    left: int
    top: int
    right: int
    bottom: int

    def within(self, other: "Rect") -> "Rect":
        """What of it lies in `other`; it may be empty."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        return Rect(left, top, max(left, min(self.right, other.right)), max(top, min(self.bottom, other.bottom)))


class Canvas:
    """One frame with drawing that touches no pixel but those it changes.

    Attributes:
        frame: yuv420p, limited range.
        view: where the frame given is shown; around it are black bars if its shape is another.
    """

    def __init__(self, width: int, height: int, matrix: Colorspace) -> None:
        self.frame = av.VideoFrame(width, height, "yuv420p")
        self.frame.color_range = ColorRange.MPEG
        self.frame.colorspace = _TAGS[matrix]
        self.view = Rect(0, 0, width, height)
        self._matrix = matrix
        self.planes = [_writable(self.frame, number) for number in range(3)]

    def fill(self, rect: Rect, colour: RGB, opacity: float = 1.0) -> None:
        """Paint a rectangle."""
        rect = rect.within(Rect(0, 0, self.frame.width, self.frame.height))
        for value, region in zip(self._yuv(colour), self._regions(rect), strict=True):
            if opacity >= 1:
                region[...] = value
            else:
                _blend(region, value, opacity)

    def stamp(self, left: int, top: int, mask: NDArray[np.float32], colour: RGB) -> None:
        """Paint through `mask` [h, w] of 0 to 1, its corner at (left, top); what lies outside is left out."""
        height, width = mask.shape
        rect = Rect(left, top, left + width, top + height)
        inside = rect.within(Rect(0, 0, self.frame.width, self.frame.height))
        mask = mask[inside.top - top : inside.bottom - top, inside.left - left : inside.right - left]
        if not mask.size:
            return
        values = self._yuv(colour)
        luma, *chroma = self._regions(inside)
        _blend(luma, values[0], mask)
        # Chroma has a sample for each 2 x 2 pixels: the mean of what the mask says there.
        padded = np.pad(mask, ((inside.top % 2, inside.bottom % 2), (inside.left % 2, inside.right % 2)))
        coarse = np.float32(0.25) * (padded[::2, ::2] + padded[1::2, ::2] + padded[::2, 1::2] + padded[1::2, 1::2])
        for value, region in zip(values[1:], chroma, strict=True):
            _blend(region, value, coarse)

    def _regions(self, rect: Rect) -> list[Plane]:
        """The three planes' views of a rectangle; chroma takes in the samples that it covers in part."""
        left, top, right, bottom = rect
        half = slice(top // 2, -(-bottom // 2)), slice(left // 2, -(-right // 2))
        return [self.planes[0][top:bottom, left:right], self.planes[1][half], self.planes[2][half]]

    def _yuv(self, colour: RGB) -> tuple[int, int, int]:
        red, _, blue = colour
        kr, kg, kb = _WEIGHTS[self._matrix]
        luma = kr * red + kg * colour[1] + kb * blue
        u, v = (blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)
        return round(16 + luma * 219 / 255), round(128 + u * 224 / 255), round(128 + v * 224 / 255)


class Restorer:
    """Makes the canvases of one film, all of one even size; a view of another shape gets black bars.

    Args:
        width, height: of the canvases, even.
        matrix: of the film's colours; see `matrix_of`.
    """

    def __init__(self, width: int, height: int, matrix: Colorspace) -> None:
        self.width = width
        self.height = height
        self.matrix = matrix
        self._luma = VideoReformatter()
        self._chroma = VideoReformatter()

    @property
    def tag(self) -> int:
        """The matrix as ITU-T H.273 numbers it."""
        return _TAGS[self.matrix]

    def read(self, frame: VideoFrame) -> Canvas:
        """`frame` on a canvas."""
        canvas = Canvas(self.width, self.height, self.matrix)
        rect = canvas.view = _fit(frame.luma.shape, self.width, self.height)
        if rect != Rect(0, 0, self.width, self.height):
            canvas.fill(Rect(0, 0, self.width, self.height), (0, 0, 0))
        width, height = rect.right - rect.left, rect.bottom - rect.top
        luma, *chroma = canvas._regions(rect)
        np.take(_LIMITED, self._scaled_luma(frame.luma, width, height), out=luma)
        small = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame.small), "rgb24")
        scaled = self._chroma.reformat(
            small,
            width // 2,
            height // 2,
            "yuv444p",
            dst_colorspace=self.matrix,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BILINEAR,
            threads=_SCALER_THREADS,
        )
        for number, region in enumerate(chroma, 1):
            region[...] = _writable(scaled, number)
        return canvas

    def _scaled_luma(self, luma: Plane, width: int, height: int) -> Plane:
        missing = height - luma.shape[0], width - luma.shape[1]
        if missing == (0, 0):
            return luma
        if max(missing) <= 1 and min(missing) >= 0:  # an odd size made even: the last line once more, nothing scaled
            return np.pad(luma, ((0, missing[0]), (0, missing[1])), mode="edge")
        grey = av.VideoFrame.from_ndarray(np.ascontiguousarray(luma), "gray")
        scaled = self._luma.reformat(
            grey, width, height, "gray", interpolation=Interpolation.AREA, threads=_SCALER_THREADS
        )
        return _writable(scaled, 0)


def matrix_of(frame: VideoFrame) -> Colorspace:
    """By which matrix the luma of `frame` was made of its colours: BT.601 or BT.709, whichever fits better.

    A `VideoFrame` does not say, and a wrong guess shifts greens and reds by up to a tenth.
    """
    height, width, _ = frame.small.shape
    grey = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame.luma), "gray")
    scaled = VideoReformatter().reformat(
        grey, width, height, "gray", interpolation=Interpolation.AREA, threads=_SCALER_THREADS
    )
    luma = _writable(scaled, 0).astype(np.float32)
    small = frame.small.astype(np.float32)
    errors = {
        matrix: float(np.abs(small @ np.array(weights, np.float32) - luma).mean())
        for matrix, weights in _WEIGHTS.items()
    }
    return min(errors, key=errors.__getitem__)


def even_size(frame: VideoFrame, longest: int = 0) -> tuple[int, int]:
    """Width and height of a film that begins with `frame`: its own, or with a longer side of `longest`; made even."""
    height, width = frame.luma.shape
    scale = Fraction(longest, max(width, height)) if longest else Fraction(1)
    return _even(width * scale), _even(height * scale)


def _even(length: Fraction) -> int:
    return max(2, 2 * round(length / 2 + Fraction(1, 100)))  # an odd length grows


def _fit(shape: tuple[int, ...], width: int, height: int) -> Rect:
    """Where a view of `shape` (h, w) goes in width x height: as large as it can be, centred, on even pixels."""
    scale = min(Fraction(width, shape[1]), Fraction(height, shape[0]))
    w, h = min(width, _even(shape[1] * scale)), min(height, _even(shape[0] * scale))
    left, top = (width - w) // 4 * 2, (height - h) // 4 * 2
    return Rect(left, top, left + w, top + h)


def _blend(region: Plane, value: int, share: float | NDArray[np.float32]) -> None:
    region[...] = np.rint(region + (value - region.astype(np.float32)) * share).astype(np.uint8)


def _writable(frame: av.VideoFrame, number: int) -> Plane:
    """A plane without its lines' padding, as a view."""
    plane = frame.planes[number]
    lines = np.frombuffer(memoryview(plane), np.uint8)
    return lines.reshape(plane.height, plane.line_size)[:, : plane.width]
