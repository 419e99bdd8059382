"""Turns of heads."""

import math

import numpy as np
from numpy.typing import NDArray


def rotation(roll: float, pitch: float, yaw: float) -> NDArray[np.float64]:
    """By yaw, then pitch, then roll (degrees) about the head's own axes: to the right, up and towards the camera."""
    (cr, sr), (cp, sp), (cy, sy) = (
        (math.cos(math.radians(each)), math.sin(math.radians(each))) for each in (roll, pitch, yaw)
    )
    about_up = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_right = np.array([[1, 0, 0], [0, cp, sp], [0, -sp, cp]])
    about_forward = np.array([[cr, sr, 0], [-sr, cr, 0], [0, 0, 1]])
    turned: NDArray[np.float64] = about_up @ about_right @ about_forward
    return turned
