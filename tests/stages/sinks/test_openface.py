"""The turns that OpenFace has of a head, against rotations multiplied out."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.stages.sinks.table import openface_turns
from tests.support.factories import make_geometry


def about(axis: int, angle: float) -> np.ndarray:
    """A turn about an axis, right-handed."""
    one, other = [each for each in range(3) if each != axis]
    if axis == 1:
        one, other = other, one
    turn = np.eye(3)
    turn[one, one] = turn[other, other] = math.cos(angle)
    turn[other, one], turn[one, other] = math.sin(angle), -math.sin(angle)
    return turn


@given(st.floats(-60, 60), st.floats(-60, 60), st.floats(-60, 60))
def test_the_same_head_in_axes_to_the_right_down_and_away(roll: float, pitch: float, yaw: float) -> None:
    x, y, z = openface_turns(make_geometry(roll=roll, pitch=pitch, yaw=yaw))
    # Ours: yaw to the right, then up, then clockwise, of axes to the right, up and towards the camera.
    ours = about(1, math.radians(yaw)) @ about(0, -math.radians(pitch)) @ about(2, -math.radians(roll))
    flipped = np.diag([1.0, -1.0, -1.0])
    assert about(0, x) @ about(1, y) @ about(2, z) == pytest.approx(flipped @ ours @ flipped, abs=1e-9)
