"""Faces that nobody is to recognise in what is stored: the places where a face was found are made unrecognisable.

Of a place that is blurred four means are left. A place that is masked keeps nothing: it is one grey, with the mesh of
the face drawn on it in every picture in which one is seen well enough; where none was seen, it is blurred.

The pictures that are stored are looked at themselves, each of them, and with a lower threshold than for results: a
place too many costs nothing. A place is hidden from `BEFORE_NS` before a face is found there to `AFTER_NS` after, so
that one that is not found for a moment, or only when it has come closer, stays hidden. For that the pictures wait.
"""

from collections import deque
from collections.abc import Sequence
from typing import Any, Generic, Literal, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from emopipe.models import assets
from emopipe.models.face_detection.detection import FaceDetector
from emopipe.models.face_detection.search import Detector, FaceSearch
from emopipe.models.face_detection.tracking import Box as FaceBox
from emopipe.models.geometry.drawing import Points, draw_mask
from emopipe.models.geometry.landmarker import FaceLandmarker, Mesh
from emopipe.models.geometry.measures import measure
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.message import FOREVER
from emopipe.stages.types import VideoFrame

T = TypeVar("T")

Hiding = Literal["blur", "mesh"]
Privacy = Literal["none", "blur", "mesh"]

MIN_CONFIDENCE = 0.25  # of a detection: half of what a result needs
MAX_FACES = 100
MAX_MASKS = 4  # in a picture, of its largest faces: each takes as long as all else
MASKED_GREY = 30
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


class Landmarker(Protocol):
    """Sees the mesh of a face; `FaceLandmarker` is one."""

    def mesh(self, luma: NDArray[np.uint8], box: FaceBox) -> Mesh | None:
        """The mesh of the face in `box` (relative to the frame) of a grey frame uint8 [H, W]; None if none is seen."""


class Found(NamedTuple):
    """Where a face was found at `pts` (ns): its head, and its mesh, relative to the frame [478, 3]; None if none."""

    pts: int
    head: Box
    mesh: Points | None


class FaceHider(Generic[T]):
    """Hides the faces of one stream's pictures, which come in the order of their time, and go on later.

    Args:
        detector: finds them.
        landmarker: sees their meshes, to be drawn in their places; None to blur them.
    """

    def __init__(self, detector: Detector, landmarker: Landmarker | None = None) -> None:
        self._search = FaceSearch(detector, "auto", MAX_FACES)
        self._landmarker = landmarker
        self._waiting: deque[Picture[T]] = deque()
        self._found: deque[Found] = deque()

    @property
    def oldest(self) -> int | None:
        """The pts (ns) of the first picture that waits; None if none does."""
        return self._waiting[0].pts if self._waiting else None

    def push(self, picture: Picture[T]) -> list[Picture[T]]:
        """Take a picture; those whose faces are known."""
        faces = [face.box for face in self._search.detect(picture.frame.small, picture.pts)]
        for number, box in enumerate(sorted(faces, key=lambda box: (-box[2] * box[3], box))):
            mesh = self._mesh(picture.frame.luma, box) if number < MAX_MASKS else None
            self._found.append(Found(picture.pts, head(box), mesh))
        self._waiting.append(picture)
        return self._ready(picture.pts - BEFORE_NS)

    def drain(self) -> list[Picture[T]]:
        """Those that still wait: no more will come."""
        return self._ready(FOREVER)

    def _ready(self, until: int) -> list[Picture[T]]:
        ready = []
        while self._waiting and self._waiting[0].pts < until:
            picture = self._waiting.popleft()
            while self._found and self._found[0].pts < picture.pts - AFTER_NS:
                self._found.popleft()
            places = [found for found in self._found if found.pts <= picture.pts + BEFORE_NS]
            masked = [found.head for found in places if found.mesh is not None]
            now = [found.mesh for found in places if found.pts == picture.pts and found.mesh is not None]
            frame = hidden(picture.frame, [found.head for found in places], masked, now)
            ready.append(picture._replace(frame=frame))
        return ready

    def _mesh(self, luma: NDArray[np.uint8], box: FaceBox) -> Points | None:
        """The mesh of a face, relative to the frame (depth to its width); None where it cannot be relied on."""
        if self._landmarker is None:
            return None
        mesh = self._landmarker.mesh(luma, box)
        if mesh is None or measure(mesh).uncertain:
            return None
        height, width = luma.shape
        relative: Points = mesh.points / (width, height, width)
        return relative


class PrivacyNetworks:
    """The networks of what hides faces, which all streams share; warmed up.

    Raises:
        ModelError: a model file is missing or damaged.
    """

    def __init__(self, hiding: Hiding) -> None:
        self._detector = FaceDetector(MIN_CONFIDENCE, MAX_FACES)
        self._detector.detect(np.zeros((180, 320, 3), np.uint8), 0)
        try:
            self._landmarker = FaceLandmarker() if hiding == "mesh" else None
        except BaseException:
            self._detector.close()
            raise

    def hider(self) -> FaceHider[Any]:
        """What hides the faces of one more stream."""
        return FaceHider(self._detector, self._landmarker)

    def close(self) -> None:
        """Free their threads and memory."""
        self._detector.close()
        if self._landmarker is not None:
            self._landmarker.close()


def model_files(privacy: Privacy) -> list[str]:
    """The model files that are loaded for it."""
    names = {"none": [], "blur": [assets.FACE_DETECTOR], "mesh": [assets.FACE_DETECTOR, assets.FACE_LANDMARKER]}
    return [str((assets.FOLDER / name).resolve()) for name in names[privacy]]


def head(box: Box) -> Box:
    """The place of the head whose face the detector's `box` (left, top, width, height) holds."""
    left, top, width, height = box
    return (left - SIDES * width, top - ABOVE * height, left + (1 + SIDES) * width, top + (1 + BELOW) * height)


def hidden(
    frame: VideoFrame, boxes: Sequence[Box], masked: Sequence[Box] = (), meshes: Sequence[Points] = ()
) -> VideoFrame:
    """The frame with nothing left of what is in the boxes but `CELLS` × `CELLS` mean values that run into each other.

    Boxes that touch are one: its means tell less of each face. Of one that holds any of `masked`, which are among
    them, nothing is left at all. On top come the `meshes` [478, 3], relative to the frame.
    """
    if not boxes:
        return frame
    luma, small = frame.luma.copy(), frame.small.copy()
    for box in merged(boxes):
        flat = any(_touch(box, each) for each in masked)
        for image in (luma, small):
            _hide(image, box, flat)
    for mesh in meshes:
        for image in (luma, small):
            height, width = image.shape[:2]
            draw_mask(image, mesh * (width, height, width))
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


def _hide(image: NDArray[np.uint8], box: Box, flat: bool) -> None:
    import cv2

    height, width = image.shape[:2]
    left, top = (max(0, int(np.floor(share * size))) for share, size in ((box[0], width), (box[1], height)))
    right, bottom = (int(np.ceil(share * size)) for share, size in ((box[2], width), (box[3], height)))
    region = image[top:bottom, left:right]
    if not region.size:
        return
    if flat:
        region[...] = MASKED_GREY
        return
    size = region.shape[1], region.shape[0]
    cells = min(CELLS, size[0]), min(CELLS, size[1])
    means = cv2.resize(region, cells, interpolation=cv2.INTER_AREA)
    region[...] = cv2.resize(means, size, interpolation=cv2.INTER_LINEAR).reshape(region.shape)
