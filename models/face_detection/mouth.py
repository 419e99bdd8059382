"""The speed of a mouth: how fast its lips part or close, against all else that moves in the face.

Between two pictures of a face, cut from two frames by one framing so that no jitter of the detector is in them, each
part moves (Lucas & Kanade 1981): here by a shift, a vertical stretch and a change of brightness, by least squares. A
speaking mouth is stretched; a turning head is shifted; and what neither explains in the upper half of the face (a
grimace, a cut, the camera's noise) says how far the stretch can be believed.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emopipe.models.face_detection.detection import Framing, crop
from emopipe.pipeline.clock import MS

Gray = NDArray[np.uint8]

MIN_INTERVAL_NS, MAX_INTERVAL_NS = 24 * MS, 200 * MS
"""How far apart the two frames may lie: at 60 frames a second noise would outweigh a single step."""


class _Part(NamedTuple):
    """Rows and columns of a crop of 48 × 48."""

    top: int
    bottom: int
    left: int
    right: int


_MOUTH = _Part(30, 47, 12, 36)
_UPPER_FACE = _Part(8, 29, 8, 40)
_MAX_FACTOR = 2  # finer sampling tells speaking and silent mouths apart no better, and takes three times as long
_RIDGE = 4.0  # squared grey levels: a flat part has no motion, only noise
_NOISE = 0.01  # of a recording at its best, relative to the face's contrast
_MIN_CONTRAST = 4.0  # grey levels


def mouth_speed(picture: Gray, earlier: Gray, framing: Framing) -> float | None:
    """The speed of a face's mouth from `earlier` to `picture`, both uint8 [H, W], where `framing` now finds the face.

    In pixels of the crop by which the lips part or close, for each unit of the upper face's unexplained change, which
    is relative to its contrast: at 24 to 30 frames a second about 0.8 for a silent mouth and 2 and more for one that
    speaks. None where both are the same picture, as where a camera repeats one.
    """
    now, before = (crop(each, framing, _MAX_FACTOR).astype(np.int32) for each in (picture, earlier))
    change = now - before
    if not change.any():
        return None
    both = now + before
    stretch, _ = _motion(both, change, _MOUTH)
    _, unexplained = _motion(both, change, _UPPER_FACE)
    contrast = float(now[6:47, 6:42].std()) + _MIN_CONTRAST
    return abs(stretch) / (unexplained / contrast + _NOISE)


def _motion(both: NDArray[np.int32], change: NDArray[np.int32], part: _Part) -> tuple[float, float]:
    """The stretch of a part, in pixels at its edge, and the root mean square of what its motion leaves unexplained.

    All sums are of whole numbers, so they are exact: the same bits however a machine adds them up.
    """
    top, bottom, left, right = part
    height, pixels = bottom - top, (bottom - top) * (right - left)
    right_slope = both[top:bottom, left + 1 : right + 1] - both[top:bottom, left - 1 : right - 1]  # four times that of
    down_slope = both[top + 1 : bottom + 1, left:right] - both[top - 1 : bottom - 1, left:right]  # the mean picture
    place = 2 * np.arange(height)[:, None] - (height - 1)  # from the part's middle, in half pixels
    columns = [right_slope, down_slope, down_slope * place, np.ones_like(down_slope), change[top:bottom, left:right]]
    table = np.stack([each.ravel() for each in columns]).astype(np.float64)
    sums = table @ table.T
    matrix, vector, squares = sums[:4, :4], sums[:4, 4], sums[4, 4]
    ridge = _RIDGE * pixels * np.array([16.0, 16.0, (4.0 * (height - 1)) ** 2, 1e-9])
    motion = np.linalg.solve(matrix + np.diag(ridge), vector)
    left_over = max(0.0, float(squares - 2 * motion @ vector + motion @ matrix @ motion))
    return float(motion[2]) * 4 * (height - 1), (left_over / pixels) ** 0.5
