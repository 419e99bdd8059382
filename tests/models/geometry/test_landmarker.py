"""The mesh of a real face."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from emopipe.models import assets
from emopipe.models.geometry.landmarker import FaceLandmarker
from emopipe.models.geometry.measures import Measures, measure
from emopipe.pipeline.errors import ModelError

Gray = NDArray[np.uint8]
BOX = (177 / 512, 82 / 512, 95 / 512, 95 / 512)


@pytest.fixture(scope="module")
def landmarker() -> Iterator[FaceLandmarker]:
    landmarker = FaceLandmarker()
    yield landmarker
    landmarker.close()


@pytest.fixture(scope="module")
def astronaut() -> Gray:
    skimage = pytest.importorskip("skimage", reason="the face is scikit-image's: install emopipe[demo]")
    grey: Gray = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2GRAY)
    return grey


def seen(landmarker: FaceLandmarker, picture: Gray, box: tuple[float, float, float, float] = BOX) -> Measures:
    mesh = landmarker.mesh(picture, box)
    assert mesh is not None
    return measure(mesh)


def test_the_mesh_lies_on_the_face(landmarker: FaceLandmarker, astronaut: Gray) -> None:
    mesh = landmarker.mesh(astronaut, BOX)
    assert mesh is not None
    assert mesh.points.shape == (478, 3)
    assert mesh.points[1, :2] == pytest.approx((220, 127), abs=8)  # the tip of the nose
    assert mesh.rotation @ mesh.rotation.T == pytest.approx(np.eye(3), abs=1e-9)
    assert len(mesh.blendshapes) == 52
    found = measure(mesh)
    assert found.smile > 0.5
    assert found.closed < 0.4
    assert not found.uncertain


def test_the_same_picture_gives_the_same_mesh_whatever_came_before(landmarker: FaceLandmarker, astronaut: Gray) -> None:
    first = seen(landmarker, astronaut)
    seen(landmarker, np.ascontiguousarray(astronaut[:, ::-1]), (1 - BOX[0] - BOX[2], *BOX[1:]))
    assert seen(landmarker, astronaut) == first


def test_a_mirror_turns_what_lies_to_a_side_and_nothing_else(landmarker: FaceLandmarker, astronaut: Gray) -> None:
    one = seen(landmarker, astronaut)
    other = seen(landmarker, np.ascontiguousarray(astronaut[:, ::-1]), (1 - BOX[0] - BOX[2], *BOX[1:]))
    assert (other.roll, other.yaw) == pytest.approx((-one.roll, -one.yaw), abs=2)
    assert other.pitch == pytest.approx(one.pitch, abs=2)
    assert other.smile == pytest.approx(one.smile, abs=0.1)
    assert other.mouth == pytest.approx(one.mouth, abs=0.03)
    assert abs(one.roll) > 2.5


def test_a_picture_turned_by_fifteen_degrees_is_a_head_turned_by_as_much(
    landmarker: FaceLandmarker, astronaut: Gray
) -> None:
    before = seen(landmarker, astronaut)
    clockwise = cv2.getRotationMatrix2D((224.0, 129.0), -15, 1)
    after = seen(landmarker, cv2.warpAffine(astronaut, clockwise, (512, 512), borderMode=cv2.BORDER_REPLICATE))
    assert after.roll - before.roll == pytest.approx(15, abs=3)
    assert after.right_eye == pytest.approx(before.right_eye, abs=0.06)


def test_a_box_at_the_edge_or_without_a_face_has_no_mesh_and_no_error(
    landmarker: FaceLandmarker, astronaut: Gray
) -> None:
    assert landmarker.mesh(np.full((90, 160), 128, np.uint8), (0.2, 0.2, 0.4, 0.4)) is None
    for box in [(-0.4, -0.4, 0.3, 0.3), (0.95, 0.95, 0.3, 0.3), (0.5, 0.5, 0.0, 0.0)]:
        assert landmarker.mesh(astronaut, box) is None
    beside = (BOX[0] + 0.6 * BOX[2], *BOX[1:])  # it sees the face, which is another's
    assert landmarker.mesh(astronaut, beside) is None


def test_a_model_that_is_missing_or_refused_is_named(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("models")
    monkeypatch.setattr(assets, "FOLDER", folder)
    with pytest.raises(ModelError, match=r"face_landmarker\.task: the face mesh is missing; install emopipe again, or"):
        FaceLandmarker()
    (folder / "x.task").write_bytes(b"no model")
    monkeypatch.setattr(assets, "face_landmarker_model", lambda: folder / "x.task")
    with pytest.raises(ModelError, match=r"x\.task: not a face mesh that MediaPipe can use: File is not a zip"):
        FaceLandmarker()
