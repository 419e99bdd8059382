"""Films with results drawn in: which result on which picture, whatever comes late, and what is drawn."""

import asyncio
from pathlib import Path

import numpy as np
import pytest

from emopipe.models.face_detection.detection import FaceDetector
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.message import Message
from emopipe.pipeline.testing import StageHarness, data, eos, gap, run_stage, watermark
from emopipe.stages.mp4.overlay import Overlay
from tests.support.faces import face_film
from tests.support.factories import result
from tests.support.films import STEP, coloured, picture, shown, sound, told
from tests.support.media import every, make, plainly, tone

INPUTS = ["video", "emotions"]


def overlay(path: Path, **settings: object) -> Overlay:
    return Overlay(Overlay.Settings(path=str(path), **settings), label="film")  # type: ignore[arg-type]


def test_a_box_is_drawn_on_its_own_picture(tmp_path: Path) -> None:
    send: list[tuple[str, Message]] = []
    for number in range(12):
        send.append(("video", picture(number)))
        send.append(("emotions", told(number, {1: "sad"} if number >= 6 else {})))
    stage = overlay(tmp_path / "a.mp4")
    run_stage(stage, send, connect=INPUTS)
    drawn = [coloured(image) > 50 for image in shown(tmp_path / "a.mp4")]
    assert drawn == [False] * 6 + [True] * 6
    assert stage.counters == {"pictures": 12, "borrowed": 0, "late": 0, "films": 1, "most_held": 1}


@pytest.mark.parametrize("first", INPUTS)
def test_whichever_comes_first_the_film_is_the_same(tmp_path: Path, first: str) -> None:
    pictures = [("video", picture(number)) for number in range(8)]
    results = [("emotions", told(number, {1: "happy"} if number % 3 else {}, "sad")) for number in range(8)]
    for name, send in (("apart", pictures + results if first == "video" else results + pictures),):
        run_stage(overlay(tmp_path / f"{name}.mp4"), send, connect=INPUTS)
    mixed = [pair for both in zip(pictures, results, strict=True) for pair in both]
    run_stage(overlay(tmp_path / "mixed.mp4"), mixed, connect=INPUTS)
    for one, other in zip(shown(tmp_path / "apart.mp4"), shown(tmp_path / "mixed.mp4"), strict=True):
        assert abs(one - other).max() < 48  # the encoder's own (26 was seen); what is drawn differs by 118


def test_what_is_uncertain_looks_otherwise(tmp_path: Path) -> None:
    sure, unsure = told(0, {1: "sad"}), told(0, {1: "sad"})
    unsure.payload.faces[0].uncertain = True
    for name, message in (("sure", sure), ("unsure", unsure)):
        film = tmp_path / f"{name}.mp4"
        run_stage(overlay(film), [("video", picture(0, width=640, height=360)), ("emotions", message)], connect=INPUTS)
    assert coloured(shown(tmp_path / "unsure.mp4")[0]) < 0.7 * coloured(shown(tmp_path / "sure.mp4")[0])


def test_the_voice_has_a_line_of_its_own_once_it_was_heard(tmp_path: Path) -> None:
    send: list[tuple[str, Message]] = [("video", picture(number, width=640, height=360)) for number in range(60)]
    send += [("emotions", told(number, {})) for number in range(10)]
    send.append(("emotions", result(10 * STEP, None, "fear")))
    send += [("emotions", told(number, {})) for number in range(10, 60)]
    run_stage(overlay(tmp_path / "a.mp4"), send, connect=INPUTS)
    lines = [coloured(image[-30:]) > 500 for image in shown(tmp_path / "a.mp4")]
    assert lines == [False] * 10 + [True] * 26 + [False] * 24  # a window of speech stands for 1 s
    assert shown(tmp_path / "a.mp4")[-1][-3:].mean() < 60  # the line is still there, and silent


def test_pictures_without_results_are_drawn_all_the_same(tmp_path: Path) -> None:
    send = [("video", picture(number)) for number in range(5)]
    stage = overlay(tmp_path / "a.mp4")
    run_stage(stage, send, connect=INPUTS)
    assert len(shown(tmp_path / "a.mp4")) == 5
    assert stage.counters["borrowed"] == 5


def test_late_results_hold_up_nobody_in_live_mode(tmp_path: Path) -> None:
    stage = overlay(tmp_path / "a.mp4", wait=0.5)

    async def drive() -> None:
        async with StageHarness(stage, mode="live", connect=INPUTS) as harness:
            await harness.send("emotions", told(0, {1: "angry"}))
            await harness.send("video", picture(0))
            for number in range(1, 20):
                await harness.clock.advance(STEP)
                await harness.send("video", picture(number))
            assert stage.counters["late"] == 6  # at 0.76 s, those of up to 0.26 s
            await harness.send("emotions", told(19, {1: "angry"}))
            await harness.finish()

    asyncio.run(drive())
    assert stage.counters["late"] == 6
    assert stage.counters["borrowed"] == 18
    drawn = [coloured(image) > 50 for image in shown(tmp_path / "a.mp4")]
    assert drawn[:13] == [True] * 13  # the last known box, for half a second
    assert not any(drawn[14:19])
    assert drawn[19]


def test_time_that_jumps_loses_no_picture(tmp_path: Path) -> None:
    send = [("video", picture(number)) for number in range(10)]
    send += [("emotions", told(number, {1: "sad"})) for number in range(4)]
    send += [("video", picture(number, epoch=1)) for number in range(5)]
    send += [("emotions", told(number, {1: "sad"}, epoch=1)) for number in range(5)]
    run_stage(overlay(tmp_path / "a.mp4"), send, connect=INPUTS)
    assert len(shown(tmp_path / "a.mp4")) == 15
    assert plainly(tmp_path / "a.mp4").pictures == pytest.approx([0.04 * number for number in range(15)], abs=1e-3)


def test_a_film_for_each_stream(tmp_path: Path) -> None:
    send = [
        (port, message)
        for stream in ("a", "b/../c")
        for port, message in (("video", picture(0, stream=stream)), ("emotions", told(0, {1: "sad"}, stream=stream)))
    ]
    run_stage(overlay(tmp_path / "film-{stream}.mp4"), send, connect=INPUTS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["film-a.mp4", "film-b_.._c.mp4"]
    (tmp_path / "one").mkdir()
    outputs = run_stage(overlay(tmp_path / "one" / "film.mp4"), send, connect=INPUTS)
    assert [path.name for path in (tmp_path / "one").iterdir()] == ["film.mp4"]
    assert outputs.damage == [
        f"{tmp_path}/one/film.mp4 is another stream's film already, so b/../c is not written; "
        "put {stream} into the path, for a film each"
    ]


def test_sound_from_the_link(tmp_path: Path) -> None:
    send: list[tuple[str, Message]] = []
    for number in range(0, 50, 10):
        send.append(("audio", sound(number, 0.4)))
        send += [("video", picture(each)) for each in range(number, number + 10)]
        send += [("emotions", told(each, {})) for each in range(number, number + 10)]
    run_stage(overlay(tmp_path / "a.mp4"), send)
    assert plainly(tmp_path / "a.mp4").samples == pytest.approx(2 * 16_000, abs=1100)


def test_sound_of_the_recording_itself(tmp_path: Path) -> None:
    source = make(tmp_path / "talk.mkv", pictures=every(25, 1), sound=tone(1, 48_000), rate=48_000, layout="stereo")
    send = [
        (port, message)
        for number in range(25)
        for port, message in (("video", picture(number, stream="talk")), ("emotions", told(number, {}, stream="talk")))
    ]
    run_stage(overlay(tmp_path / "a.mp4", sound=str(source)), send, connect=INPUTS)
    assert plainly(tmp_path / "a.mp4").samples == pytest.approx(48_000, abs=2100)


def test_sound_without_pictures(tmp_path: Path) -> None:
    send = [("audio", sound(0, 1.0)), ("video", eos()), ("emotions", gap(0, SECOND)), ("emotions", watermark(SECOND))]
    outputs = run_stage(overlay(tmp_path / "a.mp4"), send)
    assert plainly(tmp_path / "a.mp4").pictures == []
    assert plainly(tmp_path / "a.mp4").samples > 15_000
    assert outputs.warnings == [f"test has no pictures: {tmp_path}/a.mp4 holds its sound alone"]


def test_a_run_that_is_cut_short_leaves_a_whole_film(tmp_path: Path) -> None:
    async def cut_short() -> None:
        async with StageHarness(overlay(tmp_path / "a.mp4"), connect=INPUTS) as harness:
            for number in range(10):
                await harness.send("video", picture(number))
                await harness.send("emotions", told(number, {}))

    asyncio.run(cut_short())
    assert len(shown(tmp_path / "a.mp4")) == 10


def test_what_is_wrong_is_found_before_the_run(tmp_path: Path) -> None:
    def problems(path: str, **settings: object) -> list[tuple[str, str]]:
        return Overlay.Settings(path=path, **settings).check()  # type: ignore[arg-type]

    assert problems(str(tmp_path / "a.mp4")) == []
    assert problems(str(tmp_path / "{stream}.mp4")) == []
    assert problems(str(tmp_path / "a.avi")) == [
        ("path", f'{tmp_path}/a.avi: expected a name that ends in .mp4, such as "a.mp4"')
    ]
    assert "may only stand in the file's own name" in problems(str(tmp_path / "{stream}" / "a.mp4"))[0][1]
    assert "does not exist; create it" in problems(str(tmp_path / "no" / "a.mp4"))[0][1]
    assert "no such file" in problems(str(tmp_path / "a.mp4"), sound=str(tmp_path / "none.mp4"))[0][1]
    own = tmp_path / "own.mp4"
    own.write_bytes(b"a recording")
    assert problems(str(tmp_path / "{stream}.mp4"), sound=[str(own)]) == []
    assert Overlay.Settings(path="a.mp4", sound=[str(own)]).reads() == [str(own)]


@pytest.mark.slow("runs the face detector")
def test_with_privacy_the_box_is_drawn_and_no_face_is_stored(tmp_path: Path) -> None:
    frames = face_film()
    send: list[tuple[str, Message]] = []
    for number, frame in enumerate(frames):
        send.append(("video", data(frame, number * STEP, duration=STEP)))
        send.append(("emotions", told(number, {1: "sad"})))
    run_stage(overlay(tmp_path / "a.mp4", privacy="blur"), send, connect=INPUTS)
    images = shown(tmp_path / "a.mp4")
    detector = FaceDetector()
    found = [detector.detect(image.astype(np.uint8), number * STEP) for number, image in enumerate(images)]
    detector.close()
    assert found == [[]] * len(frames)
    assert all(coloured(image) > 50 for image in images)
