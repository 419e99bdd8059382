"""Faces in the frames between two looks of the detector: each goes on as its track does."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from emopipe.models.face_detection.detection import Detection, Point
from emopipe.models.face_detection.tracking import Box, Tracker
from emopipe.pipeline.clock import SECOND

# A face that has moved further, in its own widths and as far as its track tells, is looked for again.
MAX_SHIFT_WIDTHS = 0.1


class Followed(NamedTuple):
    """The faces of a frame, and the id of each."""

    faces: list[Detection]
    ids: list[int]


class FaceFollower:
    """Says where the faces of one stream are in frames that need not be looked at.

    A frame is looked at where `interval` (ns) has passed since the last look, where that found no face, and where a
    face may have moved by more than a tenth of its width. What is followed depends on nothing but what the looks
    found and on the frames' times.

    Args:
        tracker: is updated by each look.
        interval: 0 looks at every frame.
    """

    def __init__(self, tracker: Tracker, interval: int) -> None:
        self._tracker = tracker
        self._interval = interval
        self._last = Followed([], [])
        self._looked = 0  # pts of the last look

    def looked(self, faces: list[Detection], pts: int) -> Followed:
        """Take what a look at the frame of `pts` (ns) found."""
        self._last = Followed(faces, self._tracker.update([face.box for face in faces], pts))
        self._looked = pts
        return self._last

    def expected(self, pts: int) -> Followed | None:
        """The faces of the frame of `pts` (ns), later than the last look; None where it is to be looked at."""
        since = pts - self._looked
        if not self._last.faces or since >= self._interval:
            return None
        velocities = {track.id: track.velocity for track in self._tracker.tracks}
        moved = []
        for face, id in zip(*self._last, strict=True):
            x, y = (speed * since / SECOND for speed in velocities[id])
            if _widths(face.box, x, y) > MAX_SHIFT_WIDTHS:
                return None
            moved.append(_shifted(face, x, y))
        return Followed(moved, self._last.ids)


def _widths(box: Box, x: float, y: float) -> float:
    """How far that is in units of the box: its width and its height, which are about the same in pixels."""
    return math.hypot(x / box[2], y / box[3])


def _shifted(face: Detection, x: float, y: float) -> Detection:
    left, top, width, height = face.box
    points: Sequence[Point] = face[2:]
    return Detection((left + x, top + y, width, height), face.score, *((px + x, py + y) for px, py in points))
