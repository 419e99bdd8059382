"""The measures of meshes that are made here, whose truth is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emopipe.models.geometry.landmarker import Mesh
from emopipe.models.geometry.measures import EYE_MM, IRIS_MM, LEFT, LIPS, REST_MM, RIGHT, Measures, angles, measure
from tests.support.turns import rotation

degrees = st.floats(-60, 60)
IRIS_PX = 20.0
BLENDSHAPES = {
    "browInnerUp": 0.2,
    "browOuterUpLeft": 0.5,
    "browOuterUpRight": 0.7,
    "mouthSmileLeft": 0.1,
    "mouthSmileRight": 0.3,
    "eyeBlinkLeft": 0.8,
    "eyeBlinkRight": 0.4,
}


def mesh(turn: NDArray[np.float64], *, gaze: tuple[float, float] = (0.0, 0.0), size: float = 1.0) -> Mesh:
    """A head whose eyes look `gaze` degrees up and to the right within it; lids 12 of 40 px apart, lips 18 of 120."""
    head = np.zeros((478, 3))
    for eye, outer, inner in ((RIGHT, -60.0, -20.0), (LEFT, 60.0, 20.0)):
        head[eye.outer], head[eye.inner] = (outer, 0, 0), (inner, 0, 0)
        for upper, lower in eye.lids:
            head[upper], head[lower] = ((outer + inner) / 2, 6, 0), ((outer + inner) / 2, -6, 0)
        up, right = (EYE_MM * math.sin(math.radians(each)) for each in gaze)
        iris = (np.array([right, up + REST_MM, 0]) * IRIS_PX / IRIS_MM) + ((outer + inner) / 2, 0, 0)
        head[eye.iris] = iris
        for index, (x, y) in zip(eye.rim, ((10, 0), (0, 10), (-10, 0), (0, -10)), strict=True):
            head[index] = iris + np.array((x, y, 0))
    head[LIPS[0]], head[LIPS[1]] = (0, -60, 0), (0, -78, 0)
    return Mesh((head * size) @ turn.T * (1, -1, -1) + (300, 200, 0), turn, BLENDSHAPES)


@given(degrees, degrees, degrees)
def test_angles_are_those_a_head_was_turned_by(roll: float, pitch: float, yaw: float) -> None:
    assert angles(rotation(roll, pitch, yaw)) == pytest.approx((roll, pitch, yaw), abs=1e-6)


@pytest.mark.parametrize(
    ("turn", "axis", "seen"),
    [
        ((20, 0, 0), 0, (math.cos(math.radians(20)), math.sin(math.radians(20)))),  # the head's right: down in pictures
        ((0, 20, 0), 2, (0, -math.sin(math.radians(20)))),  # the nose: up
        ((0, 0, 20), 2, (math.sin(math.radians(20)), 0)),  # the nose: to the right
    ],
    ids=["roll", "pitch", "yaw"],
)
def test_signs_are_as_a_picture_shows_them(
    turn: tuple[float, float, float], axis: int, seen: tuple[float, float]
) -> None:
    x, y, _ = rotation(*turn)[:, axis]
    assert (x, -y) == pytest.approx(seen, abs=1e-9)


@given(degrees, st.floats(-30, 30), st.floats(-40, 40), st.floats(0.5, 3))
def test_openings_depend_on_no_turn_and_no_size(roll: float, pitch: float, yaw: float, size: float) -> None:
    found = measure(mesh(rotation(roll, pitch, yaw), size=size))
    assert (found.right_eye, found.left_eye, found.mouth) == pytest.approx((12 / 40, 12 / 40, 18 / 120))
    assert not found.uncertain


@given(st.floats(-25, 25), st.floats(-30, 30))
def test_a_gaze_is_the_eyes_within_the_head(up: float, right: float) -> None:
    found = measure(mesh(np.eye(3), gaze=(up, right)))
    x, y = math.sin(math.radians(right)), math.sin(math.radians(up))
    ahead = math.sqrt(1 - x * x - y * y)
    expected = math.degrees(math.asin(y)), math.degrees(math.atan2(x, ahead))
    assert (found.gaze_pitch, found.gaze_yaw) == pytest.approx(expected, abs=1e-6)


def test_eyes_that_look_against_the_heads_turn_look_into_the_camera() -> None:
    found = measure(mesh(rotation(0, 0, 20), gaze=(0, -20)))
    assert (found.yaw, found.gaze_yaw) == pytest.approx((20, 0), abs=1e-6)
    found = measure(mesh(rotation(0, -15, 0), gaze=(15, 0)))
    assert (found.pitch, found.gaze_pitch) == pytest.approx((-15, 0), abs=1e-6)


def test_what_muscles_do_is_the_mean_of_both_sides() -> None:
    found = measure(mesh(np.eye(3)))
    assert (found.brow_raise, found.smile, found.closed) == pytest.approx((math.sqrt(0.2 * 0.6), 0.2, 0.6))


@pytest.mark.parametrize(
    ("seen", "uncertain"),
    [
        (mesh(rotation(0, 0, 44)), False),
        (mesh(rotation(0, 0, -46)), True),
        (mesh(rotation(0, 36, 0)), True),
        (mesh(rotation(80, 0, 0)), False),
        (mesh(np.eye(3), size=0.25), False),
        (mesh(np.eye(3), size=0.1), True),
    ],
)
def test_a_face_that_is_small_or_turned_away_is_uncertain(seen: Mesh, uncertain: bool) -> None:
    assert measure(seen).uncertain is uncertain


def test_an_eye_without_extent_gives_finite_numbers() -> None:
    flat = Mesh(np.zeros((478, 3)), np.eye(3), BLENDSHAPES)
    assert all(math.isfinite(each) for each in measure(flat))
    assert isinstance(measure(flat), Measures)
