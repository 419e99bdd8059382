"""Faces that nobody is to recognise in what is stored: the places where a face was found are made unrecognisable.

The pictures that are stored are looked at themselves, each of them, and with a lower threshold than for results: a
place too many costs nothing. A place is hidden from `BEFORE_NS` before a face is found there to `AFTER_NS` after, so
that one that is not found for a moment, or only when it has come closer, stays hidden. For that the pictures wait.
"""

from collections import deque
from collections.abc import Sequence
from typing import Generic, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from emopipe.models.facial.detection import FaceDetector
from emopipe.models.facial.search import Detector, FaceSearch
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.message import FOREVER
from emopipe.stages.types import VideoFrame

T = TypeVar("T")

Privacy = Literal["none", "blur"]

MIN_CONFIDENCE = 0.25  # of a detection: half of what a result needs
MAX_FACES = 100
BEFORE_NS = 500 * MS  # as often as all parts of a picture are searched for far faces
AFTER_NS = SECOND
CELLS = 2  # means along each side of what is hidden; of 3 the detector still takes some for a face
# From the detector's box, which ends at the forehead and the ears, to the head: parts of its width and height.
SIDES, ABOVE, BELOW = 0.4, 0.7, 0.3

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, of the frame: 0..1."""


class Picture(NamedTuple, Generic[T]):
    """A frame on its way to where it is stored; `pts` in ns, and what goes with it."""

    frame: VideoFrame
    pts: int
    tag: T


class FaceBlur(Generic[T]):
    """Hides the faces of one stream's pictures, which come in the order of their time, and go on later.

    Args:
        detector: see `open_detector`; may be shared by streams.
    """

    def __init__(self, detector: Detector) -> None:
        self._search = FaceSearch(detector, "auto", MAX_FACES)
        self._waiting: deque[Picture[T]] = deque()
        self._found: deque[tuple[int, Box]] = deque()

    @property
    def oldest(self) -> int | None:
        """The pts (ns) of the first picture that waits; None if none does."""
        return self._waiting[0].pts if self._waiting else None

    def push(self, picture: Picture[T]) -> list[Picture[T]]:
        """Take a picture; those whose faces are known."""
        for face in self._search.detect(picture.frame.small, picture.pts):
            self._found.append((picture.pts, head(face.box)))
        self._waiting.append(picture)
        return self._ready(picture.pts - BEFORE_NS)

    def drain(self) -> list[Picture[T]]:
        """Those that still wait: no more will come."""
        return self._ready(FOREVER)

    def _ready(self, until: int) -> list[Picture[T]]:
        ready = []
        while self._waiting and self._waiting[0].pts < until:
            picture = self._waiting.popleft()
            while self._found and self._found[0][0] < picture.pts - AFTER_NS:
                self._found.popleft()
            boxes = [box for pts, box in self._found if pts <= picture.pts + BEFORE_NS]
            ready.append(picture._replace(frame=blurred(picture.frame, boxes)))
        return ready


def open_detector() -> FaceDetector:
    """The detector for a `FaceBlur`, warmed up."""
    detector = FaceDetector(MIN_CONFIDENCE, MAX_FACES)
    detector.detect(np.zeros((180, 320, 3), np.uint8), 0)
    return detector


def head(box: Box) -> Box:
    """The place of the head whose face the detector's `box` (left, top, width, height) holds."""
    left, top, width, height = box
    return (left - SIDES * width, top - ABOVE * height, left + (1 + SIDES) * width, top + (1 + BELOW) * height)


def blurred(frame: VideoFrame, boxes: Sequence[Box]) -> VideoFrame:
    """The frame with nothing left of what is in the boxes but `CELLS` × `CELLS` mean values that run into each other.

    Boxes that touch are one: its means tell less of each face.
    """
    if not boxes:
        return frame
    luma, small = frame.luma.copy(), frame.small.copy()
    for box in merged(boxes):
        for image in (luma, small):
            _hide(image, box)
    return VideoFrame(luma=luma, small=small, truth=frame.truth)


def merged(boxes: Sequence[Box]) -> list[Box]:
    """The boxes around those that touch."""
    result: list[Box] = []
    for box in boxes:
        while touching := next((each for each in result if _touch(each, box)), None):
            result.remove(touching)
            box = (  # noqa: PLW2901
                min(box[0], touching[0]),
                min(box[1], touching[1]),
                max(box[2], touching[2]),
                max(box[3], touching[3]),
            )
        result.append(box)
    return result


def _touch(one: Box, other: Box) -> bool:
    return one[0] <= other[2] and other[0] <= one[2] and one[1] <= other[3] and other[1] <= one[3]


def _hide(image: NDArray[np.uint8], box: Box) -> None:
    import cv2

    height, width = image.shape[:2]
    left, top = (max(0, int(np.floor(share * size))) for share, size in ((box[0], width), (box[1], height)))
    right, bottom = (int(np.ceil(share * size)) for share, size in ((box[2], width), (box[3], height)))
    region = image[top:bottom, left:right]
    if not region.size:
        return
    size = region.shape[1], region.shape[0]
    cells = min(CELLS, size[0]), min(CELLS, size[1])
    means = cv2.resize(region, cells, interpolation=cv2.INTER_AREA)
    region[...] = cv2.resize(means, size, interpolation=cv2.INTER_LINEAR).reshape(region.shape)
