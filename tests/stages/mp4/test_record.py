"""Raw pictures and sound, kept."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from emopipe.models.face_detection.detection import FaceDetector
from emopipe.pipeline.message import Message
from emopipe.pipeline.testing import StageHarness, data, gap, run_stage
from emopipe.stages.mp4.record import Record
from emopipe.stages.privacy import Privacy
from tests.support.faces import colours, face_film, within
from tests.support.films import STEP, coloured, picture, shown, sound
from tests.support.media import plainly


def record(path: Path) -> Record:
    return Record(Record.Settings(path=str(path)), label="record")


def test_pictures_and_sound_are_kept_as_they_are(tmp_path: Path) -> None:
    send: list[tuple[str, Message]] = [("audio", sound(0, 1.0)), ("audio", gap(25 * STEP, 5 * STEP))]
    send += [("video", picture(number)) for number in range(30) if number % 7]
    stage = record(tmp_path / "a.mp4")
    run_stage(stage, send)
    seen = plainly(tmp_path / "a.mp4")
    times = [0.04 * number for number in range(30) if number % 7]
    assert seen.pictures[1:] == pytest.approx(times[1:], abs=1e-3)
    assert seen.samples == pytest.approx(16_000, abs=1100)
    images = shown(tmp_path / "a.mp4")
    assert all(coloured(image) == 0 and abs(image - 90).max() < 6 for image in images)
    assert stage.counters == {"pictures": len(times), "films": 1}


@pytest.mark.parametrize("port", ["video", "audio"])
def test_one_of_both_is_enough(tmp_path: Path, port: str) -> None:
    message = picture(0) if port == "video" else sound(0, 0.5)
    outputs = run_stage(record(tmp_path / "a.mp4"), [(port, message)], connect=[port])
    assert (tmp_path / "a.mp4").stat().st_size > 500
    assert bool(outputs.warnings) == (port == "audio")


def test_a_stream_that_comes_again_is_not_lost(tmp_path: Path) -> None:
    async def drive() -> None:
        async with StageHarness(record(tmp_path / "a.mp4"), connect=["video"]) as harness:
            for _ in range(2):
                await harness.send("video", picture(0))
                await harness.send("video", Message(kind="eos", stream="test", watermark=2**63 - 1))
            await harness.finish()

    asyncio.run(drive())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a-2.mp4", "a.mp4"]


def test_time_that_jumps(tmp_path: Path) -> None:
    send = [("video", picture(number)) for number in range(3)]
    send += [("video", picture(number, epoch=1)) for number in range(3)]
    run_stage(record(tmp_path / "a.mp4"), send, connect=["video"])
    assert np.diff(plainly(tmp_path / "a.mp4").pictures) == pytest.approx([0.04] * 5, abs=1e-3)


@pytest.mark.slow("runs the face detector")
@pytest.mark.parametrize("privacy", ["none", "blur", "mesh"])
def test_with_privacy_no_face_is_stored(tmp_path: Path, privacy: Privacy) -> None:
    frames = face_film()
    stage = Record(Record.Settings(path=str(tmp_path / "a.mp4"), privacy=privacy), label="record")
    send = [("video", data(frame, number * STEP, duration=STEP)) for number, frame in enumerate(frames)]
    run_stage(stage, send, connect=["video"])
    seen = plainly(tmp_path / "a.mp4")
    assert seen.pictures[1:] == pytest.approx([0.04 * number for number in range(1, len(frames))], abs=1e-3)
    detector = FaceDetector()
    images = shown(tmp_path / "a.mp4")
    found = [detector.detect(image.astype(np.uint8), number * STEP) for number, image in enumerate(images)]
    detector.close()
    assert len(images) == len(frames)
    seen_in = sum(map(bool, found))
    if privacy == "mesh":  # what is drawn may be taken for a face; but it is grey
        detector = FaceDetector()
        for number, (frame, image) in enumerate(zip(frames, images, strict=True)):
            for face in detector.detect(frame.small, number * STEP):
                assert colours(within(image, face.box)) < 8
                assert within(image, face.box).std() > 20  # something is drawn
        detector.close()
    else:
        assert seen_in == 0 if privacy == "blur" else seen_in > 24  # of 32 that show the face


@pytest.mark.slow("runs the face detector")
def test_what_waits_is_written_at_a_jump_and_at_the_end(tmp_path: Path) -> None:
    stage = Record(Record.Settings(path=str(tmp_path / "a.mp4"), privacy="blur"), label="record")
    send = [("video", picture(number)) for number in range(3)]
    send += [("video", picture(number, epoch=1)) for number in range(3)]
    run_stage(stage, send, connect=["video"])
    assert np.diff(plainly(tmp_path / "a.mp4").pictures) == pytest.approx([0.04] * 5, abs=1e-3)
