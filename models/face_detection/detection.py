"""Finding faces, and cutting them out as FER2013 frames them."""

import atexit
import math
import os
import threading
import weakref
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emopipe.models import assets
from emopipe.models.face_detection.mediapipe_library import loading_mediapipe
from emopipe.models.face_detection.native_log import without_chatter
from emopipe.models.face_detection.tracking import Box
from emopipe.pipeline.errors import ModelError

SIZE = 48
WARM_UP_FRAMES = 8
Point = tuple[float, float]

# How FER2013 frames a face, by benchmarks/studies/framing.py over its Training images. The midpoint between the eyes
# lies at this fraction of the height, and the side is the larger of the distance between the eyes and of that from
# their midpoint to the mouth, in these units. (The larger of the two predicts the side as well as the detector's box
# does, whose corners are whole pixels of a small picture, and better than either alone.)
EYES_Y = 0.40
SIDE_PER_EYES = 2.67
SIDE_PER_MOUTH = 2.53


class Detection(NamedTuple):
    """A face in a frame. Everything is relative to the frame: 0..1 from its top left corner.

    Right and left are the person's own. A box may reach beyond the frame.
    """

    box: Box
    score: float
    right_eye: Point
    left_eye: Point
    nose: Point
    mouth: Point
    right_ear: Point
    left_ear: Point


class FaceDetector:
    """BlazeFace through MediaPipe Tasks, in VIDEO mode: one call a frame, answered at once.

    Several threads may share one: they take turns. After a fork the child's detector is made anew.

    Args:
        min_confidence: of a detection, 0..1.
        max_faces: the most confident ones are kept.

    Raises:
        ModelError: MediaPipe cannot be loaded; the model file cannot be had or is not usable.
    """

    _detector: Any  # MediaPipe's; None while there is none
    _last_ms: int  # the time that it was given last

    def __init__(self, min_confidence: float = 0.5, max_faces: int = 8) -> None:
        self._reset()
        # MediaPipe's library profiles itself by SIGPROF. Whoever resets signal handlers in the same process, as
        # Lightning does after each training, would leave the signal without one, and then it kills the process.
        os.environ.setdefault("CPUPROFILE_FREQUENCY", "0")
        with loading_mediapipe():
            import mediapipe as mp
            from mediapipe.tasks.python import BaseOptions, vision

        path = assets.face_detector_model()
        options = vision.FaceDetectorOptions(
            base_options=BaseOptions(model_asset_path=str(path)),
            running_mode=vision.RunningMode.VIDEO,
            min_detection_confidence=min_confidence,
        )
        self._make = partial(vision.FaceDetector.create_from_options, options)
        self._image = partial(mp.Image, mp.ImageFormat.SRGB)
        self._max_faces = max_faces
        try:
            with loading_mediapipe():
                self._start()
        except (RuntimeError, ValueError) as error:
            raise ModelError(f"{path}: MediaPipe refuses the face detector's model: {error}") from None
        _DETECTORS.add(self)

    def detect(self, rgb: NDArray[np.uint8], pts: int) -> list[Detection]:
        """The faces in a frame uint8 [H, W, 3] shown at `pts` (ns), from left to right.

        MediaPipe wants whole milliseconds that increase strictly: two frames within one, or a jump back, are
        moved on by as much as that takes. Its answers do not depend on them.
        """
        height, width = rgb.shape[:2]
        image = self._image(np.ascontiguousarray(rgb))
        with self._lock:
            if self._detector is None:
                self._start()
            self._last_ms = max(self._last_ms + 1, pts // 1_000_000)
            result = self._detector.detect_for_video(image, self._last_ms)
        faces = []
        for found in result.detections:
            box = found.bounding_box
            relative = (box.origin_x / width, box.origin_y / height, box.width / width, box.height / height)
            points = [(float(point.x), float(point.y)) for point in found.keypoints]
            faces.append(Detection(relative, float(found.categories[0].score), *points))
        best = sorted(faces, key=lambda face: (-face.score, face.box))[: self._max_faces]
        return sorted(best, key=lambda face: face.box)

    def close(self) -> None:
        """Free the detector's threads and memory; they come back if it is used again."""
        with self._lock, without_chatter():
            if self._detector is not None:
                self._detector.close()
            self._detector = None

    def __del__(self) -> None:
        self.close()

    def _start(self) -> None:
        """Make MediaPipe's detector, and let it say all that it says of the first frames.

        Of memory that is not aligned it warns once a process, at the first frame for which the heap gives it such.
        """
        with without_chatter():
            self._detector = self._make()
            for n in range(WARM_UP_FRAMES):
                self._detector.detect_for_video(self._image(np.zeros((64 + 8 * n, 64, 3), np.uint8)), n)

    def _reset(self) -> None:
        self._lock = threading.Lock()  # whoever held it before a fork is not in the child
        self._detector = None
        self._last_ms = WARM_UP_FRAMES

    def _abandon(self) -> None:
        """Forget MediaPipe's detector without closing it, which takes threads that are not there any more."""
        if self._detector is not None:
            self._detector._handle = None
        self._reset()


_DETECTORS: "weakref.WeakSet[FaceDetector]" = weakref.WeakSet()


def _abandon_all() -> None:
    for detector in _DETECTORS:
        detector._abandon()


atexit.register(_abandon_all)
if hasattr(os, "register_at_fork"):  # where there is fork
    os.register_at_fork(after_in_child=_abandon_all)


class Framing(NamedTuple):
    """A square around a face in a picture, in pixels: centre, side, and the angle (radians) that levels the eyes."""

    x: float
    y: float
    side: float
    angle: float


def frame_face(detection: Detection, width: int, height: int, margin: float = 1.0) -> Framing:
    """The square that holds this face as FER2013 would have it.

    Turning the head shortens the distance between the eyes, nodding that from eyes to mouth; the larger of the two
    estimates stands. `margin` scales the square around the midpoint between the eyes.
    """
    (rx, ry), (lx, ly) = _pixels(detection.right_eye, width, height), _pixels(detection.left_eye, width, height)
    mx, my = _pixels(detection.mouth, width, height)
    x, y = (rx + lx) / 2, (ry + ly) / 2
    angle = math.atan2(ly - ry, lx - rx)
    eyes, mouth = math.hypot(lx - rx, ly - ry), math.hypot(mx - x, my - y)
    side = max(1.0, margin * max(SIDE_PER_EYES * eyes, SIDE_PER_MOUTH * mouth))
    down = (0.5 - EYES_Y) * side
    return Framing(x - down * math.sin(angle), y + down * math.cos(angle), side, angle)


def _pixels(point: Point, width: int, height: int) -> Point:
    return point[0] * width, point[1] * height


def crop(picture: NDArray[np.uint8], framing: Framing, max_factor: int = 16, side: int = SIZE) -> NDArray[np.uint8]:
    """The square's content, level, as uint8 [side, side], out of a picture uint8 [H, W]; or with colours of one with.

    What lies outside the picture repeats its border. A large face is first cut out at about its own resolution and
    then averaged over whole blocks of pixels, of `max_factor` a side at most: sampling it at so few points a row would
    alias.
    """
    import cv2

    factor = max(1, min(max_factor, math.ceil(framing.side / side)))
    size = side * factor
    scale = framing.side / size
    cos, sin = math.cos(framing.angle) * scale, math.sin(framing.angle) * scale
    middle = (size - 1) / 2
    # From a pixel of the crop to its place in the picture; pixel centres lie on whole numbers.
    inverse = np.array(
        [
            [cos, -sin, framing.x - 0.5 - cos * middle + sin * middle],
            [sin, cos, framing.y - 0.5 - sin * middle - cos * middle],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(picture, inverse, (size, size), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    face: NDArray[np.uint8] = cut if factor == 1 else cv2.resize(cut, (side, side), interpolation=cv2.INTER_AREA)
    return face


def colour_crop(luma: NDArray[np.uint8], small: NDArray[np.uint8], framing: Framing, side: int) -> NDArray[np.uint8]:
    """As `crop`, in RGB, uint8 [side, side, 3]: light from `luma` [H, W], colours from `small` [h, w, 3], the same view
    in less detail."""
    import cv2

    scale = small.shape[1] / luma.shape[1]
    coarse = framing._replace(x=framing.x * scale, y=framing.y * scale, side=max(1.0, framing.side * scale))
    ycc = cv2.cvtColor(crop(small, coarse, side=side), cv2.COLOR_RGB2YCrCb)
    ycc[:, :, 0] = crop(luma, framing, side=side)
    picture: NDArray[np.uint8] = cv2.cvtColor(ycc, cv2.COLOR_YCrCb2RGB)
    return picture


# Sharpness, as `quality` measures it, of all but the blurriest 5 % of FER2013, and of its images blurred with a
# standard deviation of 2 pixels.
SHARP, BLURRED = 0.56, 0.10
# How far the nose lies off the middle, in units of the distance between the eyes: up to the first the
# head counts as facing us, from the second on it is in profile.
FRONTAL, PROFILE = 0.2, 0.8


class Quality(NamedTuple):
    """The quality of a crop, for weighting it.

    `size` is the square's side in pixels of the picture it was cut from; `sharpness` the strength of the crop's
    Laplacian relative to its contrast; `yaw` the nose's offset from the middle of the eyes, along their line, in
    units of their distance (0: facing us; either sign).
    """

    size: float
    sharpness: float
    yaw: float

    @property
    def weight(self) -> float:
        """All three as one figure, 0..1, for weighting this face against other evidence."""
        size = min(1.0, self.size / SIZE)
        sharpness = min(1.0, max(0.0, (self.sharpness - BLURRED) / (SHARP - BLURRED)))
        pose = min(1.0, max(0.0, (PROFILE - abs(self.yaw)) / (PROFILE - FRONTAL)))
        return size * sharpness * pose


def quality(face: NDArray[np.uint8], detection: Detection, framing: Framing, width: int, height: int) -> Quality:
    """Judge a crop uint8 [48, 48] that `framing` cut out of a picture of `width` × `height` pixels."""
    import cv2

    laplacian = cv2.Laplacian(face.astype(np.float32), cv2.CV_32F)
    # One grey level of contrast: a flat crop has no sharpness, only noise.
    sharpness = float(laplacian.std() / (face.std() + 1.0))
    (rx, ry), (lx, ly) = _pixels(detection.right_eye, width, height), _pixels(detection.left_eye, width, height)
    nx, ny = _pixels(detection.nose, width, height)
    along = (nx - (rx + lx) / 2) * (lx - rx) + (ny - (ry + ly) / 2) * (ly - ry)
    squared = (lx - rx) ** 2 + (ly - ry) ** 2
    return Quality(framing.side, sharpness, along / max(squared, 1e-9))
