"""Following several faces through a recording, so that each keeps its id."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from emopipe.pipeline.clock import SECOND

Box = tuple[float, float, float, float]
"""Left, top, width, height, in one unit throughout (relative to the frame, say)."""


def overlap(a: Box, b: Box) -> float:
    """Intersection over union, 0..1."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (a[2] * a[3] + b[2] * b[3] - shared)


def distance(a: Box, b: Box) -> float:
    """Between the centres, in units of the boxes' mean size, so that neither zoom nor aspect matters."""
    x = (a[0] + a[2] / 2 - b[0] - b[2] / 2) / ((a[2] + b[2]) / 2)
    y = (a[1] + a[3] / 2 - b[1] - b[3] / 2) / ((a[3] + b[3]) / 2)
    return float((x * x + y * y) ** 0.5)


@dataclass
class Track:
    """One face: where it was last seen (`pts` in ns), and how fast its centre moves (per second)."""

    id: int
    box: Box
    pts: int
    velocity: tuple[float, float] = (0.0, 0.0)

    def at(self, pts: int) -> Box:
        """The box it should have now, had it gone on as it did."""
        seconds = (pts - self.pts) / SECOND
        left, top, width, height = self.box
        return (left + self.velocity[0] * seconds, top + self.velocity[1] * seconds, width, height)

    def see(self, box: Box, pts: int, smoothing: float) -> None:
        """Take a new position; the velocity follows by the share `smoothing`, since detectors jitter."""
        seconds = (pts - self.pts) / SECOND
        if seconds > 0:
            x = (box[0] + box[2] / 2 - self.box[0] - self.box[2] / 2) / seconds
            y = (box[1] + box[3] / 2 - self.box[1] - self.box[3] / 2) / seconds
            self.velocity = (
                self.velocity[0] + smoothing * (x - self.velocity[0]),
                self.velocity[1] + smoothing * (y - self.velocity[1]),
            )
        self.box, self.pts = box, pts


@dataclass
class Tracker:
    """Gives each detection the id of the face it continues, or the next new one; ids count up from 0.

    Detections and tracks, each moved on at constant velocity, are paired best first by overlap and distance of
    centres, as in SORT (Bewley et al. 2016, arXiv:1602.00763). The outcome depends on nothing but the
    boxes and their times. Feed it every frame that was looked at, before any is dropped: it needs small steps.

    Attributes:
        max_gap: seconds without a detection after which a face that comes back is a new one.
        max_distance: between centres, in units of the box's size; further away is another face.
        max_zoom: ratio of widths beyond which it is another face.
        smoothing: of the velocity, 0..1 (1: the last step's alone).
    """

    max_gap: float = 1.0
    max_distance: float = 0.7
    max_zoom: float = 2.0
    smoothing: float = 0.4
    tracks: list[Track] = field(default_factory=list)
    _next: int = 0

    def update(self, boxes: Sequence[Box], pts: int) -> list[int]:
        """The ids of a frame's boxes, in their order. `pts` is in ns and never goes back (call `reset` if it does)."""
        self.tracks = [track for track in self.tracks if pts - track.pts <= self.max_gap * SECOND]
        pairs = []
        for track in self.tracks:
            expected = track.at(pts)
            for index, box in enumerate(boxes):
                # Right after a turn the prediction overshoots: where the face was counts as well.
                apart = min(distance(expected, box), distance(track.box, box))
                zoom = max(box[2] / track.box[2], track.box[2] / box[2])
                if apart <= self.max_distance and zoom <= self.max_zoom:
                    cost = distance(expected, box) + 1 - overlap(expected, box)
                    pairs.append((cost, track.id, index, track))
        ids: dict[int, int] = {}
        taken = set()
        for _, identity, index, track in sorted(pairs, key=lambda pair: pair[:3]):
            if identity not in taken and index not in ids:
                taken.add(identity)
                ids[index] = identity
                track.see(boxes[index], pts, self.smoothing)
        for index, box in enumerate(boxes):
            if index not in ids:
                ids[index] = self._next
                self.tracks.append(Track(self._next, box, pts))
                self._next += 1
        return [ids[index] for index in range(len(boxes))]

    def reset(self) -> None:
        """Forget every face, after a jump in time; ids go on counting, so that none is given twice."""
        self.tracks = []
