"""Faces between two looks of the detector."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.models.face_detection.detection import Detection
from emopipe.models.face_detection.following import MAX_SHIFT_WIDTHS, FaceFollower
from emopipe.models.face_detection.tracking import Tracker

MS = 1_000_000
FRAME = 40 * MS


def face(x: float, y: float = 0.4, size: float = 0.2) -> Detection:
    """A face by its centre, with all points there but the eyes."""
    middle = (x, y)
    eyes = (x - size / 5, y), (x + size / 5, y)
    return Detection((x - size / 2, y - size / 2, size, size), 0.9, *eyes, middle, middle, middle, middle)


def follower(interval: int, *looks: tuple[list[Detection], int], tracker: Tracker | None = None) -> FaceFollower:
    made = FaceFollower(tracker or Tracker(), interval)
    for faces, pts in looks:
        made.looked(faces, pts)
    return made


def test_without_an_interval_every_frame_is_looked_at() -> None:
    assert follower(0, ([face(0.5)], 0)).expected(1) is None


def test_faces_that_rest_are_where_they_were_until_the_interval_is_over() -> None:
    resting = follower(100 * MS, ([face(0.3), face(0.7)], 0))
    for pts in (40 * MS, 80 * MS, 100 * MS - 1):
        followed = resting.expected(pts)
        assert followed is not None
        assert followed == ([face(0.3), face(0.7)], [0, 1])
    assert resting.expected(100 * MS) is None


def test_before_the_first_look_and_where_it_found_nobody_every_frame_is_looked_at() -> None:
    assert follower(100 * MS).expected(0) is None
    assert follower(100 * MS, ([], 0)).expected(FRAME) is None
    assert follower(100 * MS, ([face(0.5)], 0), ([], FRAME)).expected(2 * FRAME) is None


def test_a_face_that_moves_is_followed_with_all_its_points() -> None:
    looks = [([face(0.3 + 0.002 * frame)], frame * FRAME) for frame in range(20)]
    followed = follower(100 * MS, *looks).expected(20 * FRAME)
    assert followed is not None
    (moved,), ids = followed
    assert ids == [0]
    assert moved.box == pytest.approx(face(0.34).box, abs=1e-5)
    assert [x for point in moved[2:] for x in point] == pytest.approx(
        [x for point in face(0.34)[2:] for x in point], abs=1e-5
    )


@given(speed=st.floats(0, 0.2), at=st.integers(1, 499))
def test_a_face_is_looked_for_once_it_may_have_moved_by_a_tenth_of_its_width(speed: float, at: int) -> None:
    looks = [([face(0.1 + speed * frame * 0.04)], frame * FRAME) for frame in range(40)]
    tracker = Tracker()
    moving = follower(500 * MS, *looks, tracker=tracker)
    (track,) = tracker.tracks
    shift = track.velocity[0] * at / 1000 / 0.2
    assert (moving.expected(looks[-1][1] + at * MS) is None) == (shift > MAX_SHIFT_WIDTHS)


def test_ids_are_those_of_the_looks_alone() -> None:
    seldom = follower(100 * MS)
    ids = []
    for frame in range(12):
        followed = seldom.expected(frame * FRAME) or seldom.looked([face(0.2), face(0.8)], frame * FRAME)
        ids.append(followed.ids)
    assert ids == [[0, 1]] * 12
