"""The face detection stage around a detector whose faces are known."""

import numpy as np
import pytest
from numpy.typing import NDArray

from emopipe.models.face_detection.detection import Detection, Framing
from emopipe.pipeline.testing import data, eos, run_stage
from emopipe.stages.faces.detection import FaceDetection
from emopipe.stages.types import Faces, VideoFrame
from tests.support.pictures import striped

MS = 1_000_000


class TwoFaces:
    """Sees two faces in every frame but the third, which has none."""

    closed = 0

    def __init__(self, min_confidence: float, max_faces: int) -> None:
        self._frames = -1  # the first call is the warm-up

    def detect(self, rgb: NDArray[np.uint8], pts: int) -> list[Detection]:
        self._frames += 1
        if self._frames == 3:
            return []
        return [
            Detection(
                (x, 0.2, 0.2, 0.3),
                0.9,
                (x + 0.05, 0.3),
                (x + 0.15, 0.3),
                (x + 0.1, 0.38),
                (x + 0.1, 0.45),
                (x, 0.3),
                (x + 0.2, 0.3),
            )
            for x in (0.1, 0.6)
        ]

    def close(self) -> None:
        TwoFaces.closed += 1


def test_faces_are_followed_cut_out_and_absent_where_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.stages.faces.detection.FaceDetector", TwoFaces)
    frames = [("video", data(striped(), 40 * MS * number, stream="a")) for number in range(4)]
    ran = run_stage(FaceDetection(), [*frames, ("video", eos("a"))])
    results: list[Faces] = ran.payloads("faces")
    assert [[face.id for face in result.faces] for result in results] == [[0, 1], [0, 1], [], [0, 1]]
    assert {face.crop.shape for result in results for face in result.faces} == {(48, 48)}
    assert all(0 <= face.quality <= 1 for result in results for face in result.faces)
    assert TwoFaces.closed == 1


def test_a_mouth_is_compared_with_a_frame_that_had_the_face_and_is_neither_too_new_nor_too_old(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("emopipe.stages.faces.detection.FaceDetector", TwoFaces)
    compared: list[tuple[int, int]] = []

    def speed(picture: NDArray[np.uint8], earlier: NDArray[np.uint8], framing: Framing) -> float:
        compared.append((int(picture[0, 0]), int(earlier[0, 0])))
        return 1.5

    monkeypatch.setattr("emopipe.stages.faces.detection.mouth_speed", speed)
    times = [0, 17, 33, 50, 67, 84, 400]  # in ms; at the third there is no face
    frames = [
        ("video", data(VideoFrame(np.full((90, 160), place, np.uint8), striped().small), time * MS, stream="a"))
        for place, time in enumerate(times)
    ]
    ran = run_stage(FaceDetection(), [*frames, ("video", eos("a"))])
    mouths = [[face.mouth for face in result.faces] for result in ran.payloads("faces")]
    assert mouths == [[None] * 2, [None] * 2, [], [1.5] * 2, [None] * 2, [1.5] * 2, [None] * 2]
    assert sorted(set(compared)) == [(3, 1), (5, 3)]


def test_the_parts_of_a_frame_are_looked_at_where_asked_and_anew_after_a_jump(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, int]] = []

    class Nobody(TwoFaces):
        def detect(self, rgb: NDArray[np.uint8], pts: int) -> list[Detection]:
            sizes.append((rgb.shape[1], rgb.shape[0]))
            return []

    monkeypatch.setattr("emopipe.stages.faces.detection.FaceDetector", Nobody)
    frame = VideoFrame(np.zeros((720, 1280), np.uint8), np.zeros((180, 320, 3), np.uint8))
    frames = [
        ("video", data(frame, 0, stream="a")),
        ("video", data(frame, 40 * MS, stream="a")),
        ("video", data(frame, 40 * MS, stream="b")),
        ("video", data(frame, 0, stream="a", epoch=1)),
    ]
    run_stage(
        FaceDetection(FaceDetection.Settings(range="auto")),
        [*frames, ("video", eos("a", epoch=1)), ("video", eos("b"))],
    )
    looks = "".join("W" if size == (320, 180) else "p" for size in sizes[1:])  # the first is the warm-up
    assert looks == "Wpppppp" + "W" + "Wpppppp" + "Wpppppp"


def test_between_two_looks_faces_are_followed_and_cut_out_of_each_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[int] = []

    class Seen(TwoFaces):
        def detect(self, rgb: NDArray[np.uint8], pts: int) -> list[Detection]:
            looked.append(pts // MS)
            return super().detect(rgb, pts)

    monkeypatch.setattr("emopipe.stages.faces.detection.FaceDetector", Seen)
    frames = [("video", data(striped(), 40 * MS * number, stream="a")) for number in range(9)]
    anew = [("video", data(striped(), 0, stream="a", epoch=1)), ("video", eos("a", epoch=1))]
    stage = FaceDetection(FaceDetection.Settings(interval=0.1))
    ran = run_stage(stage, [*frames, *anew])
    assert looked[1:] == [0, 120, 240, 280, 0]  # at 240 ms nobody is seen, and a jump forgets; the first warms up
    results: list[Faces] = ran.payloads("faces")
    assert [[face.id for face in result.faces] for result in results] == [[0, 1]] * 6 + [[]] + [[0, 1]] * 3
    assert {face.crop.shape for result in results for face in result.faces} == {(48, 48)}
    assert stage.counters["followed"] == 2 * 5


@pytest.mark.parametrize(("interval", "max_gap"), [(0.0, 0.1), (0.5, 0.3), (0.5, 0.5), (1.0, 1.0), (1.0, 0.1)])
def test_a_face_that_stays_keeps_its_id_however_seldom_it_is_looked_for(
    monkeypatch: pytest.MonkeyPatch, interval: float, max_gap: float
) -> None:
    class Resting(TwoFaces):
        def detect(self, rgb: NDArray[np.uint8], pts: int) -> list[Detection]:
            self._frames = 0
            return super().detect(rgb, pts)

    monkeypatch.setattr("emopipe.stages.faces.detection.FaceDetector", Resting)
    frames = [("video", data(striped(), number * 1001 * MS // 30, stream="a")) for number in range(200)]
    stage = FaceDetection(FaceDetection.Settings(interval=interval, max_gap=max_gap))
    results: list[Faces] = run_stage(stage, [*frames, ("video", eos("a"))]).payloads("faces")
    assert [[face.id for face in result.faces] for result in results] == [[0, 1]] * 200
