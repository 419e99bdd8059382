"""The mesh of a face: 478 points in space, the head's rotation, and how far 52 muscles' work is seen."""

import os
import zipfile
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emopipe.models import assets
from emopipe.models.face_detection.mediapipe_library import loading_mediapipe
from emopipe.models.face_detection.native_log import without_chatter
from emopipe.models.face_detection.tracking import Box
from emopipe.models.geometry.head_pose import fit, lifted, read_head
from emopipe.pipeline.errors import ModelError

SIZE_PX = 256  # of the crop, at most: the network sees the face in as many
SIDE = 1.8  # of the crop, in sides of the detector's box
MAX_SHIFT = 0.35  # between the middles of box and mesh, in sides of the box: further away it is another face


class Mesh(NamedTuple):
    """A face's mesh.

    Attributes:
        points: float64 [478, 3], in pixels of the frame: to the right, down, and away from the camera (the depth is
            that of a head of average shape).
        rotation: float64 [3, 3], of the head facing the camera to the head as it is seen, in axes to the right, up and
            towards the camera. The camera is far away and looks straight at the face: it is a rotation against the
            line of sight.
        blendshapes: 0..1 by MediaPipe's names, which follow ARKit's.
    """

    points: NDArray[np.float64]
    rotation: NDArray[np.float64]
    blendshapes: dict[str, float]


class FaceLandmarker:
    """MediaPipe's FaceLandmarker on the crop of one face, each by itself: the same crop gives the same mesh.

    Raises:
        ModelError: the model file cannot be had or is not usable.
    """

    def __init__(self) -> None:
        os.environ.setdefault("CPUPROFILE_FREQUENCY", "0")  # see FaceDetector
        with loading_mediapipe():
            import mediapipe as mp
            from mediapipe.tasks.python import BaseOptions, vision
        path = assets.face_landmarker_model()
        options = vision.FaceLandmarkerOptions(
            base_options=BaseOptions(model_asset_path=str(path)),
            output_face_blendshapes=True,
        )
        self._image = partial(mp.Image, mp.ImageFormat.SRGB)
        self._landmarker: Any = None
        try:
            self._head = read_head(path)
            with loading_mediapipe(), without_chatter():
                self._landmarker = vision.FaceLandmarker.create_from_options(options)
                for side in (64, 128, SIZE_PX):  # what it warns of comes with the first pictures
                    self._landmarker.detect(self._image(np.zeros((side, side, 3), np.uint8)))
        except (RuntimeError, ValueError, KeyError, OSError, zipfile.BadZipFile) as error:
            raise ModelError(f"{path}: not a face mesh that MediaPipe can use: {error}") from None

    def mesh(self, luma: NDArray[np.uint8], box: Box) -> Mesh | None:
        """The mesh of the face in `box` (relative to the frame) of a grey frame uint8 [H, W]; None if none is seen."""
        height, width = luma.shape
        left, top, side = _square(box, width, height)
        found = self._landmarker.detect(self._image(_crop(luma, left, top, side)))
        if not found.face_landmarks:
            return None
        relative = np.array([(point.x, point.y, point.z) for point in found.face_landmarks[0]], np.float64)
        points = relative * side + (left, top, 0.0)
        middle = (points[:, :2].min(axis=0) + points[:, :2].max(axis=0)) / 2
        there = np.array([(box[0] + box[2] / 2) * width, (box[1] + box[3] / 2) * height])
        if np.abs(middle - there).max() > MAX_SHIFT * side / SIDE:
            return None
        pose = fit(self._head, points)
        shapes = {shape.category_name: float(shape.score) for shape in found.face_blendshapes[0]}
        return Mesh(lifted(self._head, points, pose), pose.rotation, shapes)

    def close(self) -> None:
        """Free the network's threads and memory."""
        if self._landmarker is not None:
            with without_chatter():
                self._landmarker.close()
        self._landmarker = None


def _square(box: Box, width: int, height: int) -> tuple[int, int, int]:
    """Left, top and side, in pixels, of the square around a face."""
    side = max(1, round(SIDE * max(box[2] * width, box[3] * height)))
    x, y = (box[0] + box[2] / 2) * width, (box[1] + box[3] / 2) * height
    return round(x - side / 2), round(y - side / 2), side


def _crop(luma: NDArray[np.uint8], left: int, top: int, side: int) -> NDArray[np.uint8]:
    """A square as the network takes it, uint8 [size, size, 3]; what lies outside the frame repeats its border."""
    import cv2

    height, width = luma.shape
    rows = np.clip(np.arange(top, top + side), 0, height - 1)
    columns = np.clip(np.arange(left, left + side), 0, width - 1)
    cut = luma[rows[:, None], columns]
    if side > SIZE_PX:
        cut = cv2.resize(cut, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)
    return np.repeat(cut[..., None], 3, axis=2)
