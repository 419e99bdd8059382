"""Known movements of a face that is made here, and how the picture is drawn again."""

import numpy as np
import pytest

from benchmarks.studies.faces.geometry import FACE_POINTS, Seen, painted
from benchmarks.studies.faces.movements import LIDS, moved
from emopipe.models.geometry.landmarker import Mesh
from emopipe.models.geometry.measures import LEFT, RIGHT


def face(turned: float = 0.0) -> Seen:
    """Random points in a picture of 200 pixels, the eyes' corners 100 pixels apart, the head turned so (degrees)."""
    points = np.random.default_rng(0).uniform(20, 180, (478, 3))
    along = np.array([np.cos(np.radians(turned)), np.sin(np.radians(turned)), 0])
    points[RIGHT.outer], points[LEFT.outer] = (100, 100, 0) - 50 * along, (100, 100, 0) + 50 * along
    picture = np.random.default_rng(1).integers(0, 255, (200, 200)).astype(np.uint8)
    return Seen(picture, (0.1, 0.1, 0.8, 0.8), Mesh(points, np.eye(3), {}))


@pytest.mark.parametrize("turned", [0.0, 30.0])
def test_points_go_up_and_outwards_on_the_face_and_lids_stay(turned: float) -> None:
    seen = face(turned)
    shift = moved(seen, (70, 300), 0.06, 0.0, 0.15) - seen.mesh.points[:FACE_POINTS, :2]
    up = np.array([np.sin(np.radians(turned)), -np.cos(np.radians(turned))])
    assert shift[70] == pytest.approx(6 * up)
    assert shift[300] == pytest.approx(6 * up)
    assert not shift[LIDS].any()
    assert (shift @ up).max() <= 6 + 1e-9
    assert (shift @ up).min() >= 0
    aside = moved(seen, (70,), 0.0, 0.06, 0.15) - seen.mesh.points[:FACE_POINTS, :2]
    assert np.linalg.norm(aside[70]) == pytest.approx(6)
    assert aside[70] @ up == pytest.approx(0, abs=1e-9)


def test_a_triangle_takes_its_part_of_the_picture_with_it() -> None:
    seen = face()
    corners = np.array([[0, 1, 2]])
    seen.mesh.points[:3, :2] = (40, 40), (80, 40), (40, 80)
    still = painted(seen.picture, seen, seen.mesh.points[:FACE_POINTS, :2], corners)
    assert (still == seen.picture).all()
    lower = painted(np.zeros_like(seen.picture), seen, seen.mesh.points[:FACE_POINTS, :2] + (0, 60), corners)
    assert (lower[105:120, 45:55] == seen.picture[45:60, 45:55]).all()
    assert not lower[:99].any()
