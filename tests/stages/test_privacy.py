"""Faces that are hidden: when, where, and that nothing of them is left."""

from collections.abc import Iterable

import numpy as np
import pytest

from emopipe.models.facial.detection import Detection, FaceDetector
from emopipe.pipeline.clock import MS
from emopipe.stages.privacy import AFTER_NS, BEFORE_NS, FaceBlur, Picture, blurred, head, merged, open_detector
from emopipe.stages.types import VideoFrame
from tests.support.faces import face_film

STEP = 40 * MS
BOX = (0.4, 0.4, 0.2, 0.2)
NOISE = np.random.default_rng(0).integers(0, 256, (96, 160, 3), np.uint8)
FRAME = VideoFrame(luma=NOISE[:, :, 0], small=NOISE[::2, ::2])
CENTRE = (slice(40, 56), slice(66, 94))  # of the luma, within the box


class Scripted:
    """Finds a face at `BOX` in the pictures of these numbers."""

    def __init__(self, numbers: Iterable[int]) -> None:
        self._numbers = set(numbers)

    def detect(self, rgb: np.ndarray, pts: int) -> list[Detection]:
        point = (0.5, 0.5)
        return [Detection(BOX, 0.9, *[point] * 6)] if pts // STEP in self._numbers else []


def played(blur: FaceBlur[int], count: int) -> list[Picture[int]]:
    made = []
    for number in range(count):
        made += blur.push(Picture(FRAME, number * STEP, number))
    return made + blur.drain()


def hidden(picture: Picture[int]) -> bool:
    return not np.array_equal(picture.frame.luma[CENTRE], FRAME.luma[CENTRE])


def test_a_place_is_hidden_from_before_a_face_is_found_to_after_it_was() -> None:
    pictures = played(FaceBlur(Scripted([30])), 90)
    assert [picture.tag for picture in pictures] == list(range(90))
    first, last = 30 - BEFORE_NS // STEP, 30 + AFTER_NS // STEP
    assert [picture.tag for picture in pictures if hidden(picture)] == list(range(first, last + 1))


def test_a_face_that_is_lost_for_a_moment_stays_hidden() -> None:
    often_lost = range(0, 100, (AFTER_NS + BEFORE_NS) // STEP - 1)
    assert all(hidden(picture) for picture in played(FaceBlur(Scripted(often_lost)), 90))


def test_pictures_wait_no_longer_than_they_must() -> None:
    blur = FaceBlur[int](Scripted([]))
    for number in range(40):
        ready = blur.push(Picture(FRAME, number * STEP, number))
        assert [picture.pts for picture in ready] == ([] if blur.oldest == 0 else [blur.oldest - STEP])
        assert number * STEP - blur.oldest <= BEFORE_NS + STEP


def test_what_is_not_a_face_is_untouched_and_nobodys_frame_is_changed_in_place() -> None:
    before = FRAME.luma.copy()
    left, top, right, bottom = head(BOX)
    (found,) = played(FaceBlur(Scripted([0])), 1)
    outside = np.ones(FRAME.luma.shape, bool)
    outside[int(top * 96) : int(np.ceil(bottom * 96)), int(left * 160) : int(np.ceil(right * 160))] = False
    np.testing.assert_array_equal(found.frame.luma[outside], before[outside])
    np.testing.assert_array_equal(FRAME.luma, before)


def test_nothing_is_left_but_a_few_means() -> None:
    """Two different faces with the same means become the same picture, in light and in colours."""
    box = (0.25, 0.25, 0.75, 0.75)
    luma, small = np.full((96, 160), 100, np.uint8), np.full((48, 80, 3), 100, np.uint8)
    other = VideoFrame(luma=luma.copy(), small=small.copy())
    board = np.where(np.indices((48, 80)).sum(0) % 2, 60, -60)
    other.luma[24:72, 40:120] = 100 + board
    other.small[12:36, 20:60] = 100 + board[:24, :40, None]
    plain, patterned = blurred(VideoFrame(luma=luma, small=small), [box]), blurred(other, [box])
    np.testing.assert_allclose(plain.luma, patterned.luma, atol=1)
    np.testing.assert_allclose(plain.small, patterned.small, atol=1)


def test_boxes_that_touch_become_one() -> None:
    assert merged([(0, 0, 2, 2), (5, 5, 6, 6), (1, 1, 3, 3), (3, 0, 4, 1)]) == [(5, 5, 6, 6), (0, 0, 4, 3)]


@pytest.mark.parametrize("box", [(-1.0, -1.0, 2.0, 2.0), (1.2, 0.0, 1.4, 0.5), (0.5, 0.5, 0.5001, 0.5001)])
def test_a_box_may_reach_beyond_the_frame(box: tuple[float, float, float, float]) -> None:
    assert blurred(FRAME, [box]).luma.shape == FRAME.luma.shape


@pytest.mark.slow("runs the face detector")
def test_the_detector_finds_no_face_in_what_comes_out() -> None:
    detector = open_detector()
    frames = face_film()
    blur = FaceBlur[int](detector)
    made = []
    for number, frame in enumerate(frames):
        made += blur.push(Picture(frame, number * STEP, number))
    made += blur.drain()
    judge = FaceDetector()
    seen = [len(judge.detect(frame.small, number * STEP)) for number, frame in enumerate(frames)]
    assert sum(map(bool, seen)) >= 0.75 * len(frames)
    assert [len(judge.detect(picture.frame.small, (len(frames) + picture.tag) * STEP)) for picture in made] == [
        0
    ] * len(made)
    for open_one in (detector, judge):
        open_one.close()
