"""Small pictures of each face at the moments where it shows an emotion most clearly."""

import io
from typing import NamedTuple

import numpy as np

from emopipe.stages.media.canvas import Plane, Restorer, matrix_of
from emopipe.stages.types import PersonEmotion, VideoFrame

SIDE = 144  # px
SHOWN = 3  # portraits of a face
MARGIN = 0.35  # of the box, on each side
QUALITY = 82  # of the JPEG
BETTER = 1.05  # a moment must be so much clearer to take another's place: else most frames of a smile would be cut out
UNSURE = 0.5  # what an uncertain moment counts


class Portrait(NamedTuple):
    """A face at one moment."""

    emotion: str
    confidence: float
    uncertain: bool
    at: int  # ns of running time
    clearness: float
    jpeg: bytes


class Album:
    """The clearest moment of each emotion of one face."""

    def __init__(self) -> None:
        self.portraits: dict[str, Portrait] = {}

    def wants(self, face: PersonEmotion) -> bool:
        """Whether `face` never showed its emotion as clearly."""
        known = self.portraits.get(face.emotion)
        return known is None or clearness_of(face) > BETTER * known.clearness

    def add(self, face: PersonEmotion, frame: VideoFrame, at: int) -> None:
        """Keep `face` as it is in `frame`, `at` ns of running time."""
        jpeg = portrait(frame, face.box)
        self.portraits[face.emotion] = Portrait(
            face.emotion, face.confidence, face.uncertain, at, clearness_of(face), jpeg
        )

    def best(self) -> list[Portrait]:
        """Those that a report shows, the clearest first."""
        return sorted(self.portraits.values(), key=lambda each: -each.clearness)[:SHOWN]

    def close(self) -> None:
        """Let go of those that no report will show: nothing comes any more."""
        self.portraits = {each.emotion: each for each in self.best()}


def clearness_of(face: PersonEmotion) -> float:
    """How well a moment shows a face's emotion: as sure as possible, also of the face alone, and not too small."""
    seen = face.face.probabilities.get(face.emotion, 0.0)
    large = min(1.0, max(face.box[2], face.box[3]) / 0.2)
    return face.confidence * seen * large * (UNSURE if face.uncertain else 1.0)


def portrait(frame: VideoFrame, box: tuple[float, float, float, float]) -> bytes:
    """The square around `box` (relative) with some margin, in colour, as JPEG of `SIDE` x `SIDE` pixels."""
    from PIL import Image

    high, wide = frame.luma.shape
    left, top, width, height = box[0] * wide, box[1] * high, box[2] * wide, box[3] * high
    side = min(high, wide, max(width, height) * (1 + 2 * MARGIN), 8 * SIDE)
    side = max(side, min(high, wide, 16))
    x = min(max(0.0, left + width / 2 - side / 2), wide - side)
    y = min(max(0.0, top + height / 2 - side / 2), high - side)
    part = VideoFrame(luma=_cut(frame.luma, x, y, side, wide, high), small=_cut(frame.small, x, y, side, wide, high))
    canvas = Restorer(SIDE, SIDE, matrix_of(frame)).read(part)
    file = io.BytesIO()
    Image.fromarray(canvas.frame.to_ndarray(format="rgb24")).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def _cut(image: Plane, x: float, y: float, side: float, wide: int, high: int) -> Plane:
    """The square at (x, y) of a view of `wide` x `high` pixels, out of an image of that view at any size."""
    across, down = image.shape[1] / wide, image.shape[0] / high
    left, top = round(x * across), round(y * down)
    right, bottom = max(left + 1, round((x + side) * across)), max(top + 1, round((y + side) * down))
    return np.ascontiguousarray(image[top:bottom, left:right])
