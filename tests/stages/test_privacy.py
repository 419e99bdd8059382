"""Faces that are hidden: when, where, and that nothing of them is left."""

from collections.abc import Iterable

import numpy as np
import pytest

from emopipe.models.face_detection.detection import Detection, FaceDetector
from emopipe.models.geometry.landmarker import FaceLandmarker, Mesh
from emopipe.models.geometry.measures import LEFT, RIGHT, measure
from emopipe.pipeline.clock import MS
from emopipe.stages.privacy import (
    AFTER_NS,
    BEFORE_NS,
    MASKED_GREY,
    FaceHider,
    Picture,
    PrivacyNetworks,
    head,
    hidden,
    merged,
)
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


def played(blur: FaceHider[int], count: int) -> list[Picture[int]]:
    made = []
    for number in range(count):
        made += blur.push(Picture(FRAME, number * STEP, number))
    return made + blur.drain()


def is_hidden(picture: Picture[int]) -> bool:
    return not np.array_equal(picture.frame.luma[CENTRE], FRAME.luma[CENTRE])


def test_a_place_is_hidden_from_before_a_face_is_found_to_after_it_was() -> None:
    pictures = played(FaceHider(Scripted([30])), 90)
    assert [picture.tag for picture in pictures] == list(range(90))
    first, last = 30 - BEFORE_NS // STEP, 30 + AFTER_NS // STEP
    assert [picture.tag for picture in pictures if is_hidden(picture)] == list(range(first, last + 1))


def test_a_face_that_is_lost_for_a_moment_stays_hidden() -> None:
    often_lost = range(0, 100, (AFTER_NS + BEFORE_NS) // STEP - 1)
    assert all(is_hidden(picture) for picture in played(FaceHider(Scripted(often_lost)), 90))


def test_pictures_wait_no_longer_than_they_must() -> None:
    blur = FaceHider[int](Scripted([]))
    for number in range(40):
        ready = blur.push(Picture(FRAME, number * STEP, number))
        assert [picture.pts for picture in ready] == ([] if blur.oldest == 0 else [blur.oldest - STEP])
        assert number * STEP - blur.oldest <= BEFORE_NS + STEP


def test_what_is_not_a_face_is_untouched_and_nobodys_frame_is_changed_in_place() -> None:
    before = FRAME.luma.copy()
    left, top, right, bottom = head(BOX)
    (found,) = played(FaceHider(Scripted([0])), 1)
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
    plain, patterned = hidden(VideoFrame(luma=luma, small=small), [box]), hidden(other, [box])
    np.testing.assert_allclose(plain.luma, patterned.luma, atol=1)
    np.testing.assert_allclose(plain.small, patterned.small, atol=1)


def test_boxes_that_touch_become_one() -> None:
    assert merged([(0, 0, 2, 2), (5, 5, 6, 6), (1, 1, 3, 3), (3, 0, 4, 1)]) == [(5, 5, 6, 6), (0, 0, 4, 3)]


class ScriptedMeshes:
    """Sees the same mesh in every face, or none; its eyes' corners are `across` pixels apart."""

    def __init__(self, across: float | None = 30.0) -> None:
        self._across = across

    def mesh(self, luma: np.ndarray, box: tuple[float, float, float, float]) -> Mesh | None:
        if self._across is None:
            return None
        points = np.random.default_rng(1).uniform((70, 44, -5), (90, 52, 5), (478, 3))
        points[RIGHT.outer], points[LEFT.outer] = (80 - self._across / 2, 48, 0), (80 + self._across / 2, 48, 0)
        shapes = ("browInnerUp", "browOuterUpLeft", "browOuterUpRight", "mouthSmileLeft", "mouthSmileRight")
        return Mesh(points, np.eye(3), dict.fromkeys((*shapes, "eyeBlinkLeft", "eyeBlinkRight"), 0.0))


def other_face() -> VideoFrame:
    """The frame with other pixels, of another mean, where its head is."""
    frame = VideoFrame(luma=FRAME.luma.copy(), small=FRAME.small.copy())
    left, top, right, bottom = head(BOX)
    for image in (frame.luma, frame.small):
        height, width = image.shape[:2]
        place = image[round(top * height) : round(bottom * height), round(left * width) : round(right * width)]
        place[...] = place // 3
    return frame


def test_two_faces_of_the_same_mesh_become_the_same_picture() -> None:
    shown = []
    for frame in (FRAME, other_face()):
        hider = FaceHider[None](Scripted([0]), ScriptedMeshes())
        hider.push(Picture(frame, 0, None))
        (picture,) = hider.drain()
        shown.append(picture.frame)
    assert not np.array_equal(FRAME.luma, other_face().luma)
    np.testing.assert_array_equal(shown[0].luma, shown[1].luma)
    np.testing.assert_array_equal(shown[0].small, shown[1].small)
    assert len(np.unique(shown[0].luma[CENTRE])) > 3  # something is drawn


def test_a_mask_is_in_the_pictures_whose_mesh_was_seen_and_around_them_there_is_nothing() -> None:
    pictures = played(FaceHider(Scripted([30]), ScriptedMeshes()), 60)
    drawn = [each.tag for each in pictures if is_hidden(each) and np.any(each.frame.luma[CENTRE] != MASKED_GREY)]
    flat = [each.tag for each in pictures if np.all(each.frame.luma[CENTRE] == MASKED_GREY)]
    first, last = 30 - BEFORE_NS // STEP, 30 + AFTER_NS // STEP
    assert drawn == [30]
    assert flat == [number for number in range(first, last + 1) if number != 30]


@pytest.mark.parametrize("meshes", [ScriptedMeshes(None), ScriptedMeshes(20.0)], ids=["no mesh", "too small"])
def test_a_face_without_a_good_mesh_is_blurred(meshes: ScriptedMeshes) -> None:
    masked, blurred = (played(FaceHider(Scripted([5]), each), 10) for each in (meshes, None))
    assert is_hidden(masked[5])
    for one, other in zip(masked, blurred, strict=True):
        np.testing.assert_array_equal(one.frame.luma, other.frame.luma)
        np.testing.assert_array_equal(one.frame.small, other.frame.small)


@pytest.mark.parametrize("box", [(-1.0, -1.0, 2.0, 2.0), (1.2, 0.0, 1.4, 0.5), (0.5, 0.5, 0.5001, 0.5001)])
def test_a_box_may_reach_beyond_the_frame(box: tuple[float, float, float, float]) -> None:
    assert hidden(FRAME, [box]).luma.shape == FRAME.luma.shape


@pytest.mark.slow("runs the face detector")
def test_the_detector_finds_no_face_in_what_comes_out() -> None:
    networks = PrivacyNetworks("blur")
    frames = face_film()
    blur = networks.hider()
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
    for open_one in (networks, judge):
        open_one.close()


@pytest.mark.slow("runs the face mesh")
def test_the_mask_of_a_real_face_keeps_its_openings_and_comes_again_to_the_byte() -> None:
    """The mesh that is seen in the drawn face opens eyes and mouth as far as the face did."""
    frames = face_film()[20:24]
    networks, judge = PrivacyNetworks("mesh"), FaceLandmarker()
    detector = FaceDetector()
    runs = []
    for _ in range(2):
        hider = networks.hider()
        made = [each for n, frame in enumerate(frames) for each in hider.push(Picture(frame, n * STEP, None))]
        runs.append([picture.frame for picture in made + hider.drain()])
    for number, (frame, shown, again) in enumerate(zip(frames, *runs, strict=True)):
        assert shown.luma.tobytes() + shown.small.tobytes() == again.luma.tobytes() + again.small.tobytes()
        box = max((face.box for face in detector.detect(frame.small, number * STEP)), key=lambda box: box[2])
        before, after = (judge.mesh(each.luma, box) for each in (frame, shown))
        assert before is not None
        assert after is not None
        one, other = measure(before), measure(after)
        assert other.mouth == pytest.approx(one.mouth, abs=0.08)
        assert (other.right_eye + other.left_eye) == pytest.approx(one.right_eye + one.left_eye, abs=0.16)
        assert (other.roll, other.pitch, other.yaw) == pytest.approx((one.roll, one.pitch, one.yaw), abs=6)
    for open_one in (networks, judge, detector):
        open_one.close()
