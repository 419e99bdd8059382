"""What a mesh says of a face: where the head and the eyes point, and how far eyes, mouth and brows are open or raised.

Angles are in degrees, of a person in front of the camera as the picture shows them: yaw is positive to the picture's
right, pitch upwards, roll clockwise. Docs/geometry.md has each measure's formula and how well it measures.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emopipe.models.geometry.landmarker import Mesh

Point3 = NDArray[np.float64]

IRIS_MM = 11.7  # across, in all grown people within 0.5 (Rüfer et al. 2005)
EYE_MM = 9.9  # from the eyeball's centre of rotation to the plane of the iris
# Where the iris lies in the eyes of people who look into the camera, in mm above the line of the eye's corners (seven
# recordings of five people, docs/geometry.md).
REST_MM = 1.5
MIN_EYES_PX = 24.0  # between the outer corners of the eyes: below that too little is seen
MAX_YAW, MAX_PITCH = 45.0, 35.0  # degrees, beyond which half of the mesh is guessed


class _Eye(NamedTuple):
    """Indices of an eye's points in the mesh; `lids` are pairs of the upper and the lower one."""

    outer: int
    inner: int
    iris: int
    rim: tuple[int, int, int, int]
    lids: tuple[tuple[int, int], ...]


RIGHT = _Eye(33, 133, 468, (469, 470, 471, 472), ((159, 145), (158, 153), (160, 144)))
LEFT = _Eye(263, 362, 473, (474, 475, 476, 477), ((386, 374), (385, 380), (387, 373)))
LIPS = (13, 14)


class Measures(NamedTuple):
    """The measures of one mesh; right and left are the person's own.

    Attributes:
        roll, pitch, yaw: of the head, in degrees.
        gaze_pitch, gaze_yaw: of both eyes against the camera, in degrees.
        right_eye, left_eye: between the lids, in widths of the eye.
        mouth: between the lips, in distances between the outer corners of the eyes.
        brow_raise, smile, closed: the muscles' work as a network sees it, 0..1; `closed` of both eyes.
        uncertain: the face is too small or too far turned away for these to be relied on.
    """

    roll: float
    pitch: float
    yaw: float
    gaze_pitch: float
    gaze_yaw: float
    right_eye: float
    left_eye: float
    mouth: float
    brow_raise: float
    smile: float
    closed: float
    uncertain: bool


def measure(mesh: Mesh) -> Measures:
    """The measures of a mesh."""
    roll, pitch, yaw = angles(mesh.rotation)
    head = head_points(mesh)
    eyes = [_eye_direction(head, eye) for eye in (RIGHT, LEFT)]
    gaze = mesh.rotation @ np.mean(eyes, axis=0)
    gaze_pitch, gaze_yaw = direction(gaze)
    shapes = mesh.blendshapes
    outer = (shapes["browOuterUpLeft"] + shapes["browOuterUpRight"]) / 2
    across = max(_distance(head, RIGHT.outer, LEFT.outer), 1e-9)
    return Measures(
        roll=roll,
        pitch=pitch,
        yaw=yaw,
        gaze_pitch=gaze_pitch,
        gaze_yaw=gaze_yaw,
        right_eye=_opening(head, RIGHT),
        left_eye=_opening(head, LEFT),
        mouth=_distance(head, *LIPS) / across,
        brow_raise=math.sqrt(shapes["browInnerUp"] * outer),  # slanted brows of anger are up outside alone
        smile=(shapes["mouthSmileLeft"] + shapes["mouthSmileRight"]) / 2,
        closed=(shapes["eyeBlinkLeft"] + shapes["eyeBlinkRight"]) / 2,
        uncertain=across < MIN_EYES_PX or abs(yaw) > MAX_YAW or abs(pitch) > MAX_PITCH,
    )


def angles(rotation: NDArray[np.float64]) -> tuple[float, float, float]:
    """Roll, pitch and yaw (degrees) of a head, turned first by yaw, then by pitch, then by roll about its own axes."""
    pitch, yaw = direction(rotation[:, 2])
    # What the head's own right would be without roll; the rest of its turn is roll.
    level = np.array([math.cos(math.radians(yaw)), 0.0, -math.sin(math.radians(yaw))])
    up = np.cross(rotation[:, 2], level)
    right = rotation[:, 0]
    return math.degrees(math.atan2(-float(right @ up), float(right @ level))), pitch, yaw


def direction(vector: Point3) -> tuple[float, float]:
    """Pitch and yaw (degrees) of a direction in axes to the right, up and towards the camera."""
    x, y, z = (float(each) for each in vector / np.linalg.norm(vector))
    return math.degrees(math.asin(max(-1.0, min(1.0, y)))), math.degrees(math.atan2(x, z))


def head_points(mesh: Mesh) -> NDArray[np.float64]:
    """The mesh as if the head faced the camera, in pixels to the right, up and towards the camera."""
    return (mesh.points * (1.0, -1.0, -1.0)) @ mesh.rotation  # each row times the rotation's inverse


def _eye_direction(head: NDArray[np.float64], eye: _Eye) -> Point3:
    """Where an eye points within the head, by how far the iris lies off the middle of the eye's corners."""
    rim = head[list(eye.rim), :2]
    across = (float(np.linalg.norm(rim[0] - rim[2])) + float(np.linalg.norm(rim[1] - rim[3]))) / 2
    off = (head[eye.iris, :2] - (head[eye.outer, :2] + head[eye.inner, :2]) / 2) * (IRIS_MM / max(across, 1e-9))
    x, y = np.clip(off - (0.0, REST_MM), -0.7 * EYE_MM, 0.7 * EYE_MM) / EYE_MM
    return np.array([x, y, math.sqrt(max(0.0, 1 - x * x - y * y))])


def _opening(head: NDArray[np.float64], eye: _Eye) -> float:
    lids = sum(_distance(head, upper, lower) for upper, lower in eye.lids) / len(eye.lids)
    return lids / max(_distance(head, eye.outer, eye.inner), 1e-9)


def _distance(points: NDArray[np.float64], one: int, other: int) -> float:
    return float(np.linalg.norm(points[one] - points[other]))
