"""Far faces: the parts of a frame that are looked at besides the whole.

The detector's network sees 128 × 128 pixels, in which a face needs about a tenth of the width. So a frame is also cut
into parts that overlap, each of which is seen as large (as in Akyon et al. 2022, arXiv:2202.06934): of a picture that
is wider than high three columns and two rows. What the whole frame shows stands; the parts only add to it.
"""

import math
from typing import Literal, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from emopipe.models.face_detection.detection import Detection
from emopipe.models.face_detection.tracking import Box
from emopipe.pipeline.clock import MS

Range = Literal["short", "full", "auto"]

LONG_PARTS, SHORT_PARTS = 3, 2  # along the longer and the shorter side
PART_OVERLAP = 0.2  # of a part's side
MIN_SIDE_PX = 96  # of a frame's shorter side: the parts of a smaller one have no detail to be enlarged
MAX_SHARED = 0.4  # of the smaller of two boxes: beyond that they are one face's
SCAN_INTERVAL_NS = 500 * MS


class Part(NamedTuple):
    """A part of a frame, in pixels."""

    left: int
    top: int
    width: int
    height: int


class Detector(Protocol):
    """Finds faces in a picture; `FaceDetector` is one."""

    def detect(self, rgb: NDArray[np.uint8], pts: int) -> list[Detection]:
        """The faces in a frame uint8 [H, W, 3] shown at `pts` (ns)."""


class FaceSearch:
    """Finds near and far faces in the frames of one stream, in the order of their time.

    Args:
        detector: may be shared by streams.
        range: `short` looks at the whole frame alone; `full` at all its parts too; `auto` at all parts every half
            second, and in between at those that had a face.
        max_faces: the most confident ones are kept.
    """

    def __init__(self, detector: Detector, range: Range = "short", max_faces: int = 8) -> None:
        self._detector = detector
        self._range = range
        self._max_faces = max_faces
        self._next_scan = 0
        self._occupied: set[Part] = set()

    def detect(self, rgb: NDArray[np.uint8], pts: int) -> list[Detection]:
        """The faces in a frame uint8 [H, W, 3] shown at `pts` (ns), from left to right."""
        near = self._detector.detect(rgb, pts)
        if self._range == "short":
            return near
        height, width = rgb.shape[:2]
        parts = split(width, height)
        found = []
        for part in self._chosen(parts, pts):
            seen = rgb[part.top : part.top + part.height, part.left : part.left + part.width]
            faces = (_in_frame(face, part, width, height) for face in self._detector.detect(seen, pts))
            found += [face for face in faces if not _cut_off(face.box, part, width, height)]
        far: list[Detection] = []
        for face in sorted(found, key=lambda face: (-face.score, face.box)):
            if all(shared(face.box, other.box) <= MAX_SHARED for other in near + far):
                far.append(face)
        self._occupied |= {_nearest(parts, face.box, width, height) for face in far}
        best = sorted(near + far, key=lambda face: (-face.score, face.box))[: self._max_faces]
        return sorted(best, key=lambda face: face.box)

    def _chosen(self, parts: list[Part], pts: int) -> list[Part]:
        if self._range == "auto" and pts < self._next_scan:
            return [part for part in parts if part in self._occupied]
        self._next_scan = pts + SCAN_INTERVAL_NS
        self._occupied.clear()
        return parts


def split(width: int, height: int) -> list[Part]:
    """The parts of a frame; none where it is too small for them."""
    if min(width, height) < MIN_SIDE_PX:
        return []
    columns, rows = (LONG_PARTS, SHORT_PARTS) if width >= height else (SHORT_PARTS, LONG_PARTS)
    return [
        Part(left, top, right - left, bottom - top)
        for left, right in _spans(width, columns)
        for top, bottom in _spans(height, rows)
    ]


def shared(a: Box, b: Box) -> float:
    """What two boxes share, as a fraction of the smaller one: 1 where it lies within the other."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(0.0, width) * max(0.0, height) / max(min(a[2] * a[3], b[2] * b[3]), 1e-12)


def _spans(length: int, count: int) -> list[tuple[int, int]]:
    size = length / (count - (count - 1) * PART_OVERLAP)
    step = size * (1 - PART_OVERLAP)
    return [(round(index * step), min(length, round(index * step + size))) for index in range(count)]


def _in_frame(face: Detection, part: Part, width: int, height: int) -> Detection:
    """A face found in a part, relative to the frame."""

    def place(x: float, y: float) -> tuple[float, float]:
        return (part.left + x * part.width) / width, (part.top + y * part.height) / height

    left, top, box_width, box_height = face.box
    box = (*place(left, top), box_width * part.width / width, box_height * part.height / height)
    return Detection(box, face.score, *(place(*point) for point in face[2:]))


def _cut_off(box: Box, part: Part, width: int, height: int) -> bool:
    """Whether a face reaches beyond its part where the frame goes on: another part, or the whole, shows all of it."""
    left, top, right, bottom = box[0] * width, box[1] * height, (box[0] + box[2]) * width, (box[1] + box[3]) * height
    return (
        (part.left > 0 and left < part.left)
        or (part.top > 0 and top < part.top)
        or (part.left + part.width < width and right > part.left + part.width)
        or (part.top + part.height < height and bottom > part.top + part.height)
    )


def _nearest(parts: list[Part], box: Box, width: int, height: int) -> Part:
    """The part in whose middle a face is most."""
    x, y = (box[0] + box[2] / 2) * width, (box[1] + box[3] / 2) * height

    def off(part: Part) -> float:
        return math.hypot((x - part.left) / part.width - 0.5, (y - part.top) / part.height - 0.5)

    return min(parts, key=off)
