"""The stage that hides faces, and what is recorded of messages behind it."""

import pytest

from emopipe.models.face_detection.detection import FaceDetector
from emopipe.pipeline.clock import MS
from emopipe.pipeline.testing import data, gap, run_stage
from emopipe.stages.faces.privacy import FacePrivacy
from emopipe.stages.privacy import BEFORE_NS
from tests.support.faces import face_film
from tests.support.films import picture

pytestmark = pytest.mark.slow("runs the face detector")

STEP = 40 * MS


def test_every_picture_goes_on_once_in_order_and_later() -> None:
    sent = [("video", picture(number, stream="ab"[number % 2])) for number in range(40)]
    outputs = run_stage(FacePrivacy(), [*sent, ("video", gap(40 * STEP, STEP, stream="a"))])
    for place, stream in enumerate("ab"):
        assert [message.pts for message in outputs.data("video", stream)] == [n * STEP for n in range(place, 40, 2)]
    marks = [message.watermark for message in outputs.messages["video"]]
    assert min(marks) == 0


def test_time_that_jumps_leaves_nothing_of_before() -> None:
    sent = [("video", picture(number)) for number in range(5)] + [("video", picture(0, epoch=1))]
    stage = FacePrivacy()
    outputs = run_stage(stage, sent)
    assert [(message.epoch, message.pts) for message in outputs.data("video")] == [(1, 0)]
    assert stage.counters["stale"] == 5


def test_it_says_how_much_later() -> None:
    assert FacePrivacy.Settings().latency() == BEFORE_NS / 1e9


def test_a_real_face_is_in_none_of_the_pictures() -> None:
    frames = face_film()
    outputs = run_stage(FacePrivacy(), [("video", data(frame, n * STEP)) for n, frame in enumerate(frames)])
    detector = FaceDetector()
    found = [detector.detect(each.small, n * STEP) for n, each in enumerate(outputs.payloads("video"))]
    detector.close()
    assert found == [[]] * len(frames)
