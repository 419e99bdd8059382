import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.models.face_detection.tracking import Box, Tracker, distance, overlap

FRAME = 40_000_000  # ns: 25 frames a second


def face(x: float, y: float = 0.4, size: float = 0.2) -> Box:
    """A box by its centre."""
    return (x - size / 2, y - size / 2, size, size)


def test_overlap_and_distance() -> None:
    assert overlap((0, 0, 2, 2), (1, 0, 2, 2)) == pytest.approx(1 / 3)
    assert overlap((0, 0, 1, 1), (2, 2, 1, 1)) == 0
    assert distance((0, 0, 2, 4), (1, 0, 2, 4)) == pytest.approx(0.5)
    assert distance((0, 0, 2, 4), (0, 4, 2, 4)) == pytest.approx(1)


def test_ids_count_up_from_0_and_follow_their_faces() -> None:
    tracker = Tracker()
    assert tracker.update([face(0.2), face(0.8)], 0) == [0, 1]
    assert tracker.update([face(0.79), face(0.21)], FRAME) == [1, 0]
    assert tracker.update([face(0.22), face(0.5), face(0.78)], 2 * FRAME) == [0, 2, 1]
    assert tracker.update([], 3 * FRAME) == []


def test_a_face_survives_a_short_gap_and_no_long_one() -> None:
    tracker = Tracker(max_gap=1.0)
    tracker.update([face(0.5)], 0)
    assert tracker.update([face(0.5)], 1_000_000_000) == [0]
    assert tracker.update([face(0.5)], 2_000_000_001) == [1]


def test_a_gap_is_bridged_along_the_movement() -> None:
    tracker = Tracker()
    for frame in range(10):
        tracker.update([face(0.1 + 0.02 * frame)], frame * FRAME)
    # Hidden for half a second, a face of width 0.2 is 0.26 further on: far off where it was last seen.
    assert tracker.update([face(0.1 + 0.02 * 22)], 22 * FRAME) == [0]
    still = Tracker()
    still.update([face(0.28)], 9 * FRAME)
    assert still.update([face(0.1 + 0.02 * 22)], 22 * FRAME) == [1]


def test_faces_that_pass_each_other_keep_their_ids() -> None:
    tracker = Tracker()
    for frame in range(41):
        left, right = face(0.2 + 0.015 * frame, y=0.40), face(0.8 - 0.015 * frame, y=0.46)
        ids = dict(zip([left, right], tracker.update([left, right], frame * FRAME), strict=True))
        assert ids == {left: 0, right: 1}


def test_a_face_elsewhere_or_of_another_size_is_another_face() -> None:
    tracker = Tracker()
    tracker.update([face(0.3)], 0)
    assert tracker.update([face(0.6)], FRAME) == [1]
    assert tracker.update([face(0.6, size=0.45)], 2 * FRAME) == [2]


def test_a_new_face_beside_an_old_one_does_not_take_its_id() -> None:
    tracker = Tracker()
    tracker.update([face(0.50)], 0)
    assert tracker.update([face(0.58), face(0.51)], FRAME) == [1, 0]


def test_no_id_is_given_twice_after_a_reset() -> None:
    tracker = Tracker()
    tracker.update([face(0.5)], 5 * FRAME)
    tracker.reset()
    assert tracker.update([face(0.5)], 0) == [1]


boxes = st.tuples(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0.01, 0.5), st.floats(0.01, 0.5))
frames = st.lists(st.tuples(st.integers(0, 500_000_000), st.lists(boxes, max_size=5)), max_size=20)


@given(frames)
def test_ids_are_unique_in_a_frame_new_ones_in_order_and_all_repeatable(film: list[tuple[int, list[Box]]]) -> None:
    tracker, again, pts, highest = Tracker(), Tracker(), 0, -1
    for step, found in film:
        pts += step
        ids = tracker.update(found, pts)
        assert len(set(ids)) == len(found)
        new = [identity for identity in ids if identity > highest]
        assert new == list(range(highest + 1, highest + 1 + len(new)))
        highest += len(new)
        assert again.update(found, pts) == ids


@given(st.lists(boxes, max_size=4), st.lists(boxes, max_size=4))
def test_the_order_of_detections_does_not_matter(first: list[Box], second: list[Box]) -> None:
    def follow(later: list[Box]) -> dict[Box, int]:
        tracker = Tracker()
        tracker.update(first, 0)
        old = len(first)
        return {
            box: identity
            for box, identity in zip(later, tracker.update(later, FRAME), strict=True)
            if identity < old  # new ones are numbered in the order they come
        }

    second = list(dict.fromkeys(second))
    shuffled = sorted(second, key=lambda box: (box[2], box[0], box[1], box[3]))
    assert follow(second) == follow(shuffled)
