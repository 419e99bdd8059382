"""How a head is turned: the pose in which a head of average shape has its points where a mesh has them in the picture.

The network's own depth, and the rotation that MediaPipe makes of it, fall short of a known turn to the side by a third
(`benchmarks.studies.faces.geometry`); its points in the picture do not. So they alone count: the head is seen as from
far away (scaled orthographic projection), and its rotation is that of least squares (Dementhon and Davis 1995).
"""

import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MEMBER = (
    "geometry_pipeline_metadata_landmarks.binarypb"  # of the model file; a message of mediapipe/tasks/…/face_geometry
)
VERTICES = 468
FLOATS_EACH = 5  # of a vertex: its place, and that in a texture
STEPS = 12
IRISES = ((range(468, 473), 33, 133), (range(473, 478), 263, 362))  # each iris, and the corners of its eye


class HeadPose(NamedTuple):
    """A head's pose.

    Attributes:
        rotation: [3, 3], of a head facing the camera to this one; in axes to the right, up and towards the camera.
        scale: pixels for each cm of a head of average size.
    """

    rotation: Floats
    scale: float


def read_head(model: Path) -> Floats:
    """The average head [468, 3] in a model file, in cm to the right, up and towards the camera, from its middle.

    Raises:
        ValueError, KeyError, OSError: it has none.
    """
    with zipfile.ZipFile(model) as archive:
        metadata = archive.read(MEMBER)
    for _, mesh in _fields(metadata):
        if isinstance(mesh, bytes):
            values = [
                struct.unpack("<f", value)[0] for number, value in _fields(mesh) if number == 3 and len(value) == 4
            ]
            if len(values) == VERTICES * FLOATS_EACH:
                places = np.array(values, np.float64).reshape(VERTICES, FLOATS_EACH)[:, :3]
                head: Floats = places - places.mean(axis=0)
                return head
    raise ValueError("it has no mesh of a head")


def fit(head: Floats, points: Floats) -> HeadPose:
    """The pose of `head` by its points in a picture, [468, 2] or more columns, in pixels to the right and down."""
    seen = points[:VERTICES, :2] * (1.0, -1.0)
    seen = seen - seen.mean(axis=0)
    affine = np.linalg.lstsq(head, seen, rcond=None)[0].T
    left, _, right = np.linalg.svd(affine, full_matrices=False)
    rows = left @ right
    rotation = np.vstack([rows, np.cross(rows[0], rows[1])])
    scale = 1.0
    for _ in range(STEPS):  # the depth is that of the head as it is turned so far
        turned = head @ rotation.T
        scale = float((turned[:, :2] * seen).sum() / max(float((turned[:, :2] ** 2).sum()), 1e-9))
        places = np.column_stack([seen / max(scale, 1e-9), turned[:, 2]])
        left, _, right = np.linalg.svd(places.T @ head)
        rotation = left @ np.diag([1.0, 1.0, np.linalg.det(left @ right)]) @ right
    return HeadPose(rotation, scale)


def lifted(head: Floats, points: Floats, pose: HeadPose) -> Floats:
    """A mesh's points [478, 3] with the depth (pixels away from the camera) that a head so turned has there.

    The irises lie in the plane of their eye's corners that faces where the head does.
    """
    result = points.copy()
    result[:VERTICES, 2] = -(head @ pose.rotation[2]) * pose.scale
    forward = pose.rotation[:, 2] * (1.0, -1.0, -1.0)
    for iris, outer, inner in IRISES:
        middle = (result[outer] + result[inner]) / 2
        aside = (result[list(iris), :2] - middle[:2]) @ forward[:2]
        result[list(iris), 2] = middle[2] - aside / min(forward[2], -0.3)
    return result


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a message of Protocol Buffers by number: strings and fixed numbers as bytes, others as none."""
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        kind = key & 7
        if kind == 0:
            _, place = _varint(message, place)
            continue
        if kind not in {1, 2, 5}:
            raise ValueError(f"a field of kind {kind}")
        length = {1: 8, 5: 4}.get(kind, 0)
        if kind == 2:
            length, place = _varint(message, place)
        yield key >> 3, message[place : place + length]
        place += length


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """A whole number, and where it ends."""
    value = shift = 0
    while True:
        if place >= len(message):
            raise ValueError("it ends within a number")
        byte = message[place]
        place += 1
        value |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            return value, place
