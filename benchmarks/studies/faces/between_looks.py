"""What `interval` of `face-detection` costs in answers, and what it saves.

    python -m benchmarks.studies.faces.between_looks clips/*.mp4

Each recording is played as it is, and again through a window of three quarters of its width that swings from side to
side and back in `SWING_S`, so that faces move as before a camera that is panned. For each interval: which share of the
faces was followed instead of found; how far their crops lie from those of a detector that sees every frame, in sides of
the crop; how often the network gives both the same label, and by how many points their probabilities differ; in how
many frames the ids are others; how many of the followed faces were there no more, and the CPU of detection.
"""

import argparse
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import percentiles, table
from emopipe.models.face_detection.detection import Detection, FaceDetector, crop, frame_face
from emopipe.models.face_detection.following import FaceFollower, Followed
from emopipe.models.face_detection.tracking import Tracker, overlap
from emopipe.models.facial.model import FacialModel
from emopipe.pipeline.clock import SECOND
from emopipe.stages.media.recording import Recording
from emopipe.stages.types import VideoFrame

INTERVALS = (0.05, 0.1, 0.2, 0.5)  # s
SWING_S = 2.0
SWING = 0.25  # of the width


class Picture(NamedTuple):
    """A frame of a recording, with what a detector finds in it."""

    pts: int
    frame: VideoFrame
    found: list[Detection]


class Compared(NamedTuple):
    """A face that was followed beside the one that was there: offset in sides, and both answers."""

    offset: float
    followed: NDArray[np.float64]
    found: NDArray[np.float64]


def pictures(path: Path, swings: bool) -> Iterator[tuple[int, VideoFrame]]:
    """The frames of a recording with their time (ns)."""
    with Recording(str(path)) as recording:
        for item in recording:
            if isinstance(frame := item.payload, VideoFrame):
                yield item.pts, _window(frame, item.pts) if swings else frame


def follow(shown: Sequence[Picture], interval: float) -> list[tuple[Followed, bool]]:
    """The faces of each picture, and whether they were found or followed."""
    follower = FaceFollower(Tracker(), round(interval * SECOND))
    faces = []
    for picture in shown:
        expected = follower.expected(picture.pts)
        faces.append((expected or follower.looked(picture.found, picture.pts), expected is not None))
    return faces


def compare(picture: Picture, followed: Followed, model: FacialModel) -> Iterator[Compared]:
    """Each followed face beside the found one that it overlaps most; those that are there no more are left out."""
    height, width = picture.frame.luma.shape
    for face in followed.faces:
        there = max(picture.found, key=lambda other: overlap(face.box, other.box), default=None)
        if there is None or not overlap(face.box, there.box):
            continue
        framings = [frame_face(each, width, height) for each in (face, there)]
        crops = np.stack([crop(picture.frame.luma, framing) for framing in framings])
        offset = math.dist(framings[0][:2], framings[1][:2]) / framings[1].side
        yield Compared(offset, *model.probabilities(crops))


@dataclass
class Tally:
    """What an interval came to, over all recordings."""

    interval: float
    frames: int = 0
    faces: int = 0
    looks: int = 0
    followed: int = 0
    other_ids: int = 0
    compared: list[Compared] = field(default_factory=list)

    def add(self, shown: Sequence[Picture], model: FacialModel) -> None:
        """Count one recording."""
        for picture, (usual, _), (faces, were_followed) in zip(
            shown, follow(shown, 0), follow(shown, self.interval), strict=True
        ):
            self.frames += 1
            self.faces += len(faces.faces)
            self.other_ids += faces.ids != usual.ids
            if were_followed:
                self.followed += len(faces.faces)
                self.compared += compare(picture, faces, model)
            else:
                self.looks += 1

    def row(self, detection_ms: float) -> dict[str, object]:
        """As a row of a table; `detection_ms` is what a look at every frame takes."""
        median, p95 = percentiles([each.offset for each in self.compared], (50, 95))
        same = [each.followed.argmax() == each.found.argmax() for each in self.compared]
        points = [np.abs(each.followed - each.found).mean() for each in self.compared]
        return {
            "interval_s": self.interval,
            "followed_percent": 100 * self.followed / max(1, self.faces),
            "offset_p50": f"{median:.4f}",
            "offset_p95": f"{p95:.4f}",
            "gone_percent": 100 * (1 - len(self.compared) / max(1, self.followed)),
            "same_label_percent": 100 * float(np.mean(same)),
            "points_off": 100 * float(np.mean(points)),
            "other_ids_percent": 100 * self.other_ids / self.frames,
            "detection_ms_a_frame": detection_ms * self.looks / self.frames,
            "of_every_frame": self.looks / self.frames,
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path, nargs="+")
    paths: list[Path] = parser.parse_args().recordings
    model, detector = FacialModel.load(), FaceDetector()
    rows: list[dict[str, object]] = []
    for how, swings in {"as they are": False, "swinging": True}.items():
        tallies = [Tally(interval) for interval in INTERVALS]
        taken = []
        for path in paths:
            shown = []
            for pts, frame in pictures(path, swings):
                began = time.process_time()
                found = detector.detect(frame.small, pts)
                taken.append(1000 * (time.process_time() - began))
                shown.append(Picture(pts, frame, found))
            for tally in tallies:
                tally.add(shown, model)
        rows += [{"recordings": how} | tally.row(float(np.mean(taken))) for tally in tallies]
    print(table(rows))


def _window(frame: VideoFrame, pts: int) -> VideoFrame:
    """What a camera that swings would see of a frame."""
    share = SWING * (1 - math.cos(2 * math.pi * pts / SECOND / SWING_S)) / 2
    return VideoFrame(_part(frame.luma, share), _part(frame.small, share))


def _part(picture: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    width = picture.shape[1]
    left = round(share * width)
    return picture[:, left : left + round((1 - SWING) * width)]


if __name__ == "__main__":
    main()
