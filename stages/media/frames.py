"""Decoded frames → what the next stages need: the luma plane, and a small RGB image for the detector."""

from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.buffer import Buffer
from av.sidedata.sidedata import SideDataContainer
from av.video.format import VideoFormat
from av.video.reformatter import Interpolation, VideoReformatter
from numpy.typing import NDArray

from emopipe.pipeline.memory.arrays import empty
from emopipe.stages.types import VideoFrame

SMALL_SIZE_PX = 320
LUMA_SIZE_PX = 1280

_SCALER = Interpolation.AREA
_THREADS = 1  # more cost more than they save at these sizes
_BLACK = 16.0  # in limited range
_HALF_UP = 0.004


class FrameConverter:
    """Turns the frames of one stream into `VideoFrame`s: upright, square pixels, luma in full range (0 is black).

    A face detector needs few pixels and colour, an expression classifier a sharp grey crop: from 720p these are
    1.1 MB to send where full-size RGB is 2.8. For `small`, of swscale's scalers AREA is the cheapest that leaves
    faces where they are: 720p to 320 px wide takes 0.8 ms, bicubic 2.0, POINT 0.4, FAST_BILINEAR 0.6. BlazeFace finds
    the same faces in real recordings after any of them, but FAST_BILINEAR shifts its boxes by 3 % of a face (AREA,
    bicubic: 1.6), and POINT, once the image was 256 px wide, lost two of three small faces.

    Args:
        small_size: the longer side of `small`, in pixels, at most.
        luma_size: the longer side of `luma`, at most. BlazeFace's short-range model looks at 128 pixels and finds
            faces of about a tenth of the frame or more; in 1280 pixels these are 128 wide, and a crop takes 48. So
            a larger plane is only more bytes to send.
    """

    def __init__(self, small_size: int = SMALL_SIZE_PX, luma_size: int = LUMA_SIZE_PX) -> None:
        self._small_size = small_size
        self._luma_size = luma_size
        self._small = VideoReformatter()  # each keeps the tables of one conversion
        self._luma = VideoReformatter()
        self._flipped = VideoReformatter()

    def read(self, frame: av.VideoFrame, aspect: Fraction | None = None, truth: str = "") -> VideoFrame:
        """`aspect` is the width of a pixel over its height, 1 where not given.

        Raises:
            ValueError, av.error.FFmpegError: swscale cannot read this pixel format.
        """
        turn = _orientation(frame)
        if frame.planes[0].line_size < 0:  # stored upside down, as in AVI: PyAV gives no right view of such a plane
            frame = self._flipped.reformat(frame, format="gbrp", threads=_THREADS)
        size = _fit(frame, aspect, self._small_size)
        small = self._small.reformat(frame, *size, "rgb24", interpolation=_SCALER, threads=_THREADS)
        return VideoFrame(luma=turn(self._read_luma(frame, aspect)), small=turn(_plane(small, 3)), truth=truth)

    def _read_luma(self, frame: av.VideoFrame, aspect: Fraction | None) -> NDArray[np.uint8]:
        size = _fit(frame, aspect, self._luma_size)
        if size == (frame.width, frame.height) and _starts_with_luma(frame.format):
            luma = _plane(frame, 1)
            # swscale and every still image have grey in full range, so this must not depend on the way taken.
            return luma if _full_range(frame) else _expand(luma)
        return _plane(self._luma.reformat(frame, *size, "gray", interpolation=_SCALER, threads=_THREADS), 1)


def _fit(frame: av.VideoFrame, aspect: Fraction | None, longest: int) -> tuple[int, int]:
    """Width and height with square pixels and a longer side of at most `longest`; nothing is enlarged."""
    width, height = Fraction(frame.width), Fraction(frame.height)
    if aspect:
        width, height = (width, height / aspect) if aspect > 1 else (width * aspect, height)
    scale = min(Fraction(1), longest / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _starts_with_luma(form: VideoFormat) -> bool:
    """Whether the first plane is 8-bit luma, a byte a pixel: yuv420p and its like, nv12, grey."""
    first = form.components[0]
    planar = form.name == "gray" or (form.is_planar and not form.is_rgb)
    return planar and first.plane == 0 and first.bits == 8 and not form.has_palette


def _full_range(frame: av.VideoFrame) -> bool:
    return frame.color_range == 2 or frame.format.name.startswith(("yuvj", "gray"))


def _expand(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Limited range (16 is black, 235 white) to full range: 149/128 is 255/219 within 0.03 %, rounded half up.

    It matters: on FER2013's PublicTest the classifier gives 7 % of the faces another label in limited range, and is
    right one point less often. Two calls of OpenCV, which let go of Python's lock once each, take half as long as
    integers in NumPy; the shift of less than 1/128 is what makes it round halves up.
    """
    import cv2

    full = empty(luma.shape, np.uint8)
    cv2.subtract(luma, _BLACK, dst=full)
    cv2.convertScaleAbs(full, dst=full, alpha=149 / 128, beta=_HALF_UP)
    return full


def _plane(frame: av.VideoFrame, channels: int) -> NDArray[np.uint8]:
    """The first plane without its lines' padding, [h, w] or [h, w, channels]; a view where there is none."""
    plane = frame.planes[0]
    lines = np.frombuffer(memoryview(plane), np.uint8).reshape(frame.height, plane.line_size)[
        :, : frame.width * channels
    ]
    if channels == 1:
        return lines
    return np.ascontiguousarray(lines).reshape(frame.height, frame.width, channels)


class _Turn:
    """Applies a display matrix's right angles and mirrorings."""

    def __init__(self, transpose: bool, flip_x: bool, flip_y: bool) -> None:
        self._transpose = transpose
        self._flip = (slice(None, None, -1 if flip_y else 1), slice(None, None, -1 if flip_x else 1))

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.ascontiguousarray((image.swapaxes(0, 1) if self._transpose else image)[self._flip])


_UPRIGHT = _Turn(transpose=False, flip_x=False, flip_y=False)


class _SideData(SideDataContainer):
    """A frame's side data, up to what PyAV does not know (EXIF, which follows the display matrix made from it).

    `frame.side_data` would keep the container in the frame, which the container keeps in turn: such frames live until
    the cyclic garbage collector comes, and that may take gigabytes.
    """

    def __init__(self, frame: av.VideoFrame) -> None:
        with suppress(ValueError):
            super().__init__(frame)  # type: ignore[call-arg]


def _orientation(frame: av.VideoFrame) -> _Turn:
    """How a stored frame becomes upright.

    A display matrix (a b u; c d v; x y w) takes a pixel (p, q) to (a p + c q, b p + d q): ISO/IEC 14496-12, 6.2.2,
    of which players show the nearest right angle, and so do we.
    """
    for data in _SideData(frame):
        try:
            is_matrix = data.type.name == "DISPLAYMATRIX"
        except ValueError:  # the unknown one
            continue
        if is_matrix:
            return turn_of(np.frombuffer(memoryview(cast(Buffer, data)), np.int32)[:5].tolist())
    return _UPRIGHT


def turn_of(matrix: Sequence[int]) -> _Turn:
    """The right angles and mirrorings of a display matrix a, b, u, c, d."""
    a, b, _, c, d = matrix
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return _Turn(transpose=False, flip_x=a < 0, flip_y=d < 0)
    return _Turn(transpose=True, flip_x=c < 0, flip_y=b < 0)
