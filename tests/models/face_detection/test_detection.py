import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emopipe.models import assets
from emopipe.models.face_detection.detection import EYES_Y, Detection, FaceDetector, Framing, crop, frame_face, quality
from emopipe.pipeline.errors import ModelError

Gray = NDArray[np.uint8]
FRAME = 40_000_000  # ns


@pytest.fixture(scope="module")
def detector() -> Iterator[FaceDetector]:
    detector = FaceDetector(min_confidence=0.5, max_faces=3)
    yield detector
    detector.close()


@pytest.fixture(scope="module")
def astronaut() -> NDArray[np.uint8]:
    """A real, smiling face at about (0.44, 0.22) of 512 × 512 pixels."""
    skimage = pytest.importorskip("skimage", reason="the face is scikit-image's: install emopipe[demo]")
    image: NDArray[np.uint8] = skimage.data.astronaut()
    return image


def drawn(angle: float = 0.0, eyes: float = 40.0, at: tuple[float, float] = (200.0, 150.0)) -> Detection:
    """A face in a picture of 400 × 300 pixels: its eyes `eyes` px apart around `at`, turned by `angle` (radians)."""

    def place(right: float, down: float) -> tuple[float, float]:
        x = at[0] + eyes * (right * math.cos(angle) - down * math.sin(angle))
        y = at[1] + eyes * (right * math.sin(angle) + down * math.cos(angle))
        return (x / 400, y / 300)

    points = [place(-0.5, 0), place(0.5, 0), place(0, 0.6), place(0, 1.05), place(-1, 0.2), place(1, 0.2)]
    return Detection((0.4, 0.4, 0.2, 0.2), 0.9, *points)


def discs(detection: Detection) -> Gray:
    """A picture of 400 × 300 pixels with a bright disc on each eye, and a dark one on the mouth."""
    picture = np.full((300, 400), 128, np.uint8)
    for point, value in ((detection.right_eye, 255), (detection.left_eye, 255), (detection.mouth, 0)):
        centre = (round(point[0] * 400 * 16), round(point[1] * 300 * 16))
        cv2.circle(picture, centre, 6 * 16, value, -1, cv2.LINE_AA, shift=4)
    return picture


def centroid(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """In fractions of the crop."""
    rows, columns = np.nonzero(mask)
    return (columns.mean() + 0.5) / 48, (rows.mean() + 0.5) / 48


@pytest.mark.parametrize("angle", [0.0, 0.5, -0.5, 2.0])
def test_eyes_are_level_and_where_fer2013_has_them(angle: float) -> None:
    face = drawn(angle)
    cut = crop(discs(face), frame_face(face, 400, 300))
    left_half = np.arange(48) < 24
    first, second = centroid((cut > 190) & left_half), centroid((cut > 190) & ~left_half)
    mouth = centroid(cut < 60)
    assert first[1] == pytest.approx(EYES_Y, abs=0.015)
    assert second[1] == pytest.approx(EYES_Y, abs=0.015)
    assert (first[0] + second[0]) / 2 == pytest.approx(0.5, abs=0.015)
    assert mouth[0] == pytest.approx(0.5, abs=0.015)
    assert mouth[1] > EYES_Y + 0.3


def test_margin_scales_around_the_eyes() -> None:
    face = drawn()
    near, far = frame_face(face, 400, 300), frame_face(face, 400, 300, margin=2)
    assert far.side == pytest.approx(2 * near.side)
    for framing in (near, far):
        assert framing.y - (0.5 - EYES_Y) * framing.side == pytest.approx(150)


def test_turning_the_head_does_not_shrink_the_square() -> None:
    frontal = drawn()
    (mx, my), half = frontal.mouth, 0.02
    turned = frontal._replace(right_eye=(0.5 - half, 0.5), left_eye=(0.5 + half, 0.5))
    assert frame_face(turned, 400, 300).side >= 0.9 * frame_face(frontal, 400, 300).side
    assert (mx, my) == turned.mouth


@given(st.floats(-10, 410), st.floats(-10, 310), st.floats(1, 900), st.floats(-math.pi, math.pi))
def test_any_framing_of_a_flat_picture_gives_a_flat_crop(x: float, y: float, side: float, angle: float) -> None:
    cut = crop(np.full((300, 400), 77, np.uint8), Framing(x, y, side, angle))
    assert cut.shape == (48, 48)
    assert cut.dtype == np.uint8
    assert (cut == 77).all()


def test_a_crop_at_its_own_size_is_the_picture() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    np.testing.assert_array_equal(crop(picture, Framing(24, 24, 48, 0)), picture)


def test_shrinking_averages_instead_of_aliasing() -> None:
    stripes = np.tile(np.array([0, 255], np.uint8), (480, 240))
    cut = crop(stripes, Framing(240, 240, 480, 0))
    assert np.ptp(cut[4:-4, 4:-4].astype(int)) <= 2
    assert abs(cut.mean() - 127.5) < 2


def test_quality_falls_with_size_blur_and_yaw(astronaut: NDArray[np.uint8], detector: FaceDetector) -> None:
    gray: Gray = cv2.cvtColor(astronaut, cv2.COLOR_RGB2GRAY)
    (face,) = detector.detect(astronaut, 0)
    framing = frame_face(face, 512, 512)
    cut = crop(gray, framing)

    good = quality(cut, face, framing, 512, 512)
    assert good.weight > 0.9
    assert good.size == pytest.approx(framing.side)

    small = quality(cut, face, framing._replace(side=12.0), 512, 512)
    assert small.weight == pytest.approx(0.25 * good.weight)
    blurred = quality(cv2.GaussianBlur(cut, (0, 0), 2.5), face, framing, 512, 512)
    assert blurred.weight < 0.2 * good.weight
    profile = quality(cut, face._replace(nose=face.left_eye), framing, 512, 512)
    assert abs(profile.yaw) == pytest.approx(0.5)
    assert 0.3 * good.weight < profile.weight < 0.7 * good.weight
    assert quality(np.full((48, 48), 9, np.uint8), face, framing, 512, 512).weight == 0


def test_finds_a_real_face(astronaut: NDArray[np.uint8], detector: FaceDetector) -> None:
    (face,) = detector.detect(astronaut, 2 * FRAME)
    left, top, width, height = face.box
    assert 0.3 < left < left + width < 0.6
    assert 0.05 < top < top + height < 0.4
    assert face.score > 0.7
    assert face.right_eye[0] < face.nose[0] < face.left_eye[0]
    assert face.right_ear[0] < face.right_eye[0] < face.left_eye[0] < face.left_ear[0]
    assert face.right_eye[1] < face.nose[1] < face.mouth[1]


def test_answers_depend_on_the_frame_alone(astronaut: NDArray[np.uint8], detector: FaceDetector) -> None:
    first = detector.detect(astronaut, 10 * FRAME)
    # Nothing in between, twice the same time, half a millisecond later, and back to the start.
    assert detector.detect(np.zeros_like(astronaut), 11 * FRAME) == []
    for pts in (12 * FRAME, 12 * FRAME, 12 * FRAME + 500_000, 0):
        assert detector.detect(astronaut, pts) == first


def test_several_faces_come_from_left_to_right_the_best_kept(astronaut: NDArray[np.uint8]) -> None:
    head = astronaut[0:256, 96:352]
    faded = (head * 0.4 + 110).astype(np.uint8)
    both = np.concatenate([faded, head], axis=1)
    for limit, expected in ((2, 2), (1, 1)):
        detector = FaceDetector(0.5, limit)
        found = detector.detect(both, 0)
        detector.close()
        assert len(found) == expected
        assert [face.box[0] for face in found] == sorted(face.box[0] for face in found)
    assert found[0].box[0] > 0.5


def test_a_view_of_a_larger_frame_is_accepted(astronaut: NDArray[np.uint8], detector: FaceDetector) -> None:
    mirrored = detector.detect(astronaut[:, ::-1], 20 * FRAME)
    assert mirrored[0].box[0] > 0.4


def test_names_a_model_that_mediapipe_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tmp_path / "wrong.tflite"
    wrong.write_bytes(b"no model")
    monkeypatch.setattr(assets, "face_detector_model", lambda: wrong)
    with pytest.raises(ModelError, match=r"wrong\.tflite: MediaPipe refuses"):
        FaceDetector()


def test_real_recordings(shared_media: Path, detector: FaceDetector) -> None:
    one, group = (cv2.imread(str(shared_media / "faces" / name)) for name in ("single_face.jpg", "multi_face.jpg"))
    assert len(detector.detect(cv2.cvtColor(one, cv2.COLOR_BGR2RGB), 30 * FRAME)) == 1
    assert len(detector.detect(cv2.cvtColor(group, cv2.COLOR_BGR2RGB), 31 * FRAME)) >= 2


def test_a_process_survives_that_its_signal_handlers_are_reset() -> None:
    program = """
import signal, time
import numpy as np
from emopipe.models.face_detection.detection import FaceDetector
detector = FaceDetector()
detector.detect(np.zeros((240, 320, 3), np.uint8), 0)
signal.signal(signal.SIGPROF, signal.SIG_DFL)  # as Lightning does after a training
end = time.process_time() + 1
while time.process_time() < end:
    pass
detector.close()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


@pytest.mark.slow("whole processes")
def test_what_it_warns_of_once_is_dropped_whatever_the_heap() -> None:
    program = (
        "import os\n"
        "import numpy as np\n"
        "import mediapipe.tasks.python.vision\n"
        "from emopipe.models.face_detection.detection import FaceDetector\n"
        "for n in range(8):\n"
        "    if (child := os.fork()) == 0:\n"
        "        np.empty(20_000_000, np.uint8)  # freed at once; from here on large memory is the heap's, too\n"
        "        filled = [np.empty(16 * n + 8, np.uint8) for _ in range(5)]\n"
        "        detector = FaceDetector()\n"
        "        for size in range(64, 1064, 100):\n"
        "            detector.detect(np.zeros((size, size, 3), np.uint8), size * 1_000_000)\n"
        "        os._exit(0)\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
