"""Small pictures of each face at the moments where it shows an emotion most clearly."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emopipe.stages.types import PersonEmotion, VideoFrame

SIDE_PX = 144  # px
MAX_SHOWN = 3  # by_emotion of a face
MARGIN_SHARE = 0.35  # of the box, on each side
JPEG_QUALITY = 82  # of the JPEG
MIN_GAIN = (
    1.05  # a moment must be so much clearer to take another's place: else most frames of a smile would be cut out
)
UNCERTAIN_WEIGHT = 0.5  # what an uncertain moment counts


class Thumbnail(NamedTuple):
    """A face at one moment."""

    emotion: str
    confidence: float
    uncertain: bool
    at: int  # ns of running time
    clarity: float
    jpeg: bytes


class Thumbnails:
    """The clearest moment of each emotion of one face."""

    def __init__(self) -> None:
        self.by_emotion: dict[str, Thumbnail] = {}

    def improves(self, face: PersonEmotion) -> bool:
        """Whether `face` never showed its emotion as clearly."""
        known = self.by_emotion.get(face.emotion)
        return known is None or clarity_of(face) > MIN_GAIN * known.clarity

    def add(self, face: PersonEmotion, frame: VideoFrame, at: int) -> None:
        """Keep `face` as it is in `frame`, `at` ns of running time."""
        jpeg = face_jpeg(frame, face.box)
        self.by_emotion[face.emotion] = Thumbnail(
            face.emotion, face.confidence, face.uncertain, at, clarity_of(face), jpeg
        )

    def best(self) -> list[Thumbnail]:
        """Those that a report shows, the clearest first."""
        return sorted(self.by_emotion.values(), key=lambda each: -each.clarity)[:MAX_SHOWN]

    def close(self) -> None:
        """Let go of those that no report will show: nothing comes any more."""
        self.by_emotion = {each.emotion: each for each in self.best()}


def clarity_of(face: PersonEmotion) -> float:
    """How well a moment shows a face's emotion: as sure as possible, also of the face alone, and not too small."""
    seen = face.face.probabilities.get(face.emotion, 0.0)
    large = min(1.0, max(face.box[2], face.box[3]) / 0.2)
    return face.confidence * seen * large * (UNCERTAIN_WEIGHT if face.uncertain else 1.0)


def face_jpeg(frame: VideoFrame, box: tuple[float, float, float, float]) -> bytes:
    """The square around `box` (relative) with some margin, in colour, as JPEG of `SIDE_PX` x `SIDE_PX` pixels."""
    from emopipe.stages.media.jpeg import encode_jpeg

    high, wide = frame.luma.shape
    left, top, width, height = box[0] * wide, box[1] * high, box[2] * wide, box[3] * high
    side = min(high, wide, max(width, height) * (1 + 2 * MARGIN_SHARE), 8 * SIDE_PX)
    side = max(side, min(high, wide, 16))
    x = min(max(0.0, left + width / 2 - side / 2), wide - side)
    y = min(max(0.0, top + height / 2 - side / 2), high - side)
    part = VideoFrame(luma=_cut(frame.luma, x, y, side, wide, high), small=_cut(frame.small, x, y, side, wide, high))
    return encode_jpeg(part, SIDE_PX, SIDE_PX, JPEG_QUALITY)


def _cut(image: NDArray[np.uint8], x: float, y: float, side: float, wide: int, high: int) -> NDArray[np.uint8]:
    """The square at (x, y) of a view of `wide` x `high` pixels, out of an image of that view at any size."""
    across, down = image.shape[1] / wide, image.shape[0] / high
    left, top = round(x * across), round(y * down)
    right, bottom = max(left + 1, round((x + side) * across)), max(top + 1, round((y + side) * down))
    return np.ascontiguousarray(image[top:bottom, left:right])
