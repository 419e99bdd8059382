"""The search for far faces, around a detector that sees pale squares as faces, and with the real one."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emopipe.models.face_detection.detection import Detection, FaceDetector
from emopipe.models.face_detection.search import MIN_SIDE_PX, FaceSearch, Range, shared, split
from emopipe.models.face_detection.tracking import Box, overlap

MS = 1_000_000
WIDTH, HEIGHT = 320, 180


def picture(*faces: tuple[int, int, int]) -> NDArray[np.uint8]:
    """Faces by left, top and side, each a pale square."""
    made = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for left, top, side in faces:
        made[top : top + side, left : left + side] = 255
    return made


class Squares:
    """Sees pale squares of a tenth of the width or more; one that the picture's edge cuts reaches beyond it."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []

    def detect(self, rgb: NDArray[np.uint8], pts: int) -> list[Detection]:
        height, width = rgb.shape[:2]
        self.sizes.append((width, height))
        count, _, stats, _ = cv2.connectedComponentsWithStats((rgb[..., 0] > 128).astype(np.uint8))
        faces = []
        for left, top, columns, rows, _ in stats[1:count].tolist():
            side = max(columns, rows)
            if side >= width / 10:
                x = (left if left else columns - side) / width
                y = (top if top else rows - side) / height
                points = [(x, y)] * 6
                faces.append(Detection((x, y, side / width, side / height), 0.5 + side / 1000, *points))
        return sorted(faces, key=lambda face: face.box)


def boxes(faces: list[Detection]) -> list[tuple[int, int, int]]:
    """In pixels of the frame, as `picture` takes them."""
    return [(round(box[0] * WIDTH), round(box[1] * HEIGHT), round(box[2] * WIDTH)) for box, *_ in faces]


def test_a_short_range_is_the_detectors_own_answer() -> None:
    detector = Squares()
    faces = FaceSearch(detector, "short").detect(picture((20, 20, 16), (200, 60, 40)), 0)
    assert boxes(faces) == [(200, 60, 40)]
    assert detector.sizes == [(WIDTH, HEIGHT)]


def test_the_parts_add_small_faces_and_repeat_none() -> None:
    shown = [(20, 20, 16), (105, 84, 14), (200, 60, 40), (300, 160, 14)]
    faces = FaceSearch(Squares(), "full").detect(picture(*shown), 0)
    assert boxes(faces) == shown
    for (left, top, _), face in zip(shown, faces, strict=True):  # all points are moved as the box is
        assert face.nose == pytest.approx((left / WIDTH, top / HEIGHT), abs=1e-9)
        assert face.box[:2] == face.nose


def test_a_face_that_a_part_cuts_is_left_to_others() -> None:
    edge = split(WIDTH, HEIGHT)[0].width
    faces = FaceSearch(Squares(), "full").detect(picture((edge - 8, 30, 14)), 0)
    assert boxes(faces) == [(edge - 8, 30, 14)]  # by the neighbour, which shows all of it
    # Wider than parts overlap, across the edge of two: cut in both, and nobody guesses what it is.
    assert boxes(FaceSearch(Squares(), "full").detect(picture((edge - 26, 30, 31)), 0)) == []


def test_the_most_confident_faces_are_kept_from_left_to_right() -> None:
    shown = picture((20, 20, 16), (105, 84, 14), (200, 60, 40))
    assert boxes(FaceSearch(Squares(), "full", max_faces=2).detect(shown, 0)) == [(20, 20, 16), (200, 60, 40)]


def looked_at(search: FaceSearch, detector: Squares, shown: NDArray[np.uint8], ms: int) -> tuple[int, int]:
    """How many pictures the detector saw, and how many faces came of them."""
    before = len(detector.sizes)
    found = search.detect(shown, ms * MS)
    return len(detector.sizes) - before, len(found)


def test_auto_scans_all_parts_twice_a_second_and_follows_what_it_found() -> None:
    detector = Squares()
    search = FaceSearch(detector, "auto")
    near, far = picture((200, 60, 40)), picture((200, 60, 40), (20, 20, 16))
    assert looked_at(search, detector, near, 0) == (7, 1)
    assert looked_at(search, detector, far, 40) == (1, 1)  # it came between two scans
    assert looked_at(search, detector, far, 499) == (1, 1)
    assert looked_at(search, detector, far, 500) == (7, 2)
    assert looked_at(search, detector, far, 540) == (2, 2)  # in its own part alone
    assert looked_at(search, detector, near, 580) == (2, 1)  # still looked for
    assert looked_at(search, detector, near, 1040) == (7, 1)
    assert looked_at(search, detector, near, 1080) == (1, 1)


def test_auto_follows_a_face_into_the_next_part() -> None:
    detector = Squares()
    search = FaceSearch(detector, "auto")
    found = [search.detect(picture((60 + 4 * step, 20, 16)), 20 * step * MS) for step in range(24)]
    assert [boxes(faces) for faces in found] == [[(60 + 4 * step, 20, 16)] for step in range(24)]
    assert len(detector.sizes) < 24 * 4  # never in all parts but at the first


@pytest.mark.parametrize("size", [(MIN_SIDE_PX - 1, 320), (320, MIN_SIDE_PX - 1), (1, 1)])
def test_a_small_frame_has_no_parts(size: tuple[int, int]) -> None:
    detector = Squares()
    FaceSearch(detector, "full").detect(np.zeros((size[1], size[0], 3), np.uint8), 0)
    assert split(*size) == []
    assert detector.sizes == [size]


@given(st.integers(MIN_SIDE_PX, 700), st.integers(MIN_SIDE_PX, 700))
def test_parts_cover_the_frame_and_stay_within(width: int, height: int) -> None:
    covered = np.zeros((height, width), np.bool_)
    for left, top, across, down in split(width, height):
        assert left >= 0
        assert top >= 0
        assert left + across <= width
        assert top + down <= height
        covered[top : top + down, left : left + across] = True
    assert covered.all()


@given(
    st.tuples(*[st.floats(0, 1)] * 2, *[st.floats(0.01, 1)] * 2),
    st.tuples(*[st.floats(0, 1)] * 2, *[st.floats(0.01, 1)] * 2),
)
def test_what_boxes_share_is_symmetric_and_at_least_their_overlap(a: Box, b: Box) -> None:
    assert shared(a, b) == pytest.approx(shared(b, a))
    assert overlap(a, b) - 1e-9 <= shared(a, b) <= 1 + 1e-9
    assert shared(a, a) == pytest.approx(1)


@pytest.fixture(scope="module")
def detector() -> Iterator[FaceDetector]:
    detector = FaceDetector(max_faces=40)
    yield detector
    detector.close()


@pytest.mark.parametrize(("range_", "expected"), [("short", 0), ("full", 12), ("auto", 12)])
def test_twelve_real_faces_of_a_fifteenth_of_the_width(detector: FaceDetector, range_: Range, expected: int) -> None:
    skimage = pytest.importorskip("skimage", reason="the face is scikit-image's: install emopipe[demo]")
    face = cv2.resize(skimage.data.astronaut()[:220, 120:340], (46, 46), interpolation=cv2.INTER_AREA)
    frame = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    for row in range(3):
        for column in range(4):
            top, left = 7 + 60 * row, 17 + 80 * column
            frame[top : top + 46, left : left + 46] = face
    found = FaceSearch(detector, range_, 40).detect(frame, 0)
    assert len(found) == expected
    assert len({(round(box[0] * 4 - 0.2), round(box[1] * 3)) for box, *_ in found}) == expected
