"""Damaged places, and FFmpeg's log."""

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emopipe.pipeline.clock import MS, SECOND
from emopipe.stages.media.damage import MAX_PLACES, Damage, DamageList, FFmpegErrors, clock_time, explain


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0, "00:00.000"), (1_234_400_000, "00:01.234"), (3661 * SECOND, "01:01:01.000"), (59_999_900_000, "01:00.000")],
)
def test_clock_time(ns: int, text: str) -> None:
    assert clock_time(ns) == text


def test_errors_that_are_near_are_one_place() -> None:
    told: list[str] = []
    damage = DamageList(lambda place: told.append(str(place)))
    for at in (1000, 1040, 1900, 5000):
        damage.add(at * MS, "bad")
    assert told == ["damaged from 00:01.000 to 00:01.900: bad (3 errors)"]
    damage.passed(5500 * MS)
    assert len(told) == 1
    damage.passed(6001 * MS)
    assert told[1:] == ["damaged at 00:05.000: bad"]
    damage.close()
    assert damage.places == [Damage(SECOND, 1900 * MS, 3, "bad"), Damage(5 * SECOND, 5 * SECOND, 1, "bad")]


@given(st.lists(st.integers(0, 10**13), max_size=300))
def test_no_error_is_lost_and_places_are_few(times: list[int]) -> None:
    damage = DamageList()
    for at in times:
        damage.add(at, "bad")
    damage.close()
    assert sum(place.errors for place in damage.places) == len(times)
    assert len(damage.places) <= MAX_PLACES
    assert all(any(place.start <= at <= place.end for place in damage.places) for at in times)


def test_ffmpeg_is_heard_only_while_somebody_listens() -> None:
    assert av.logging.get_level() is None
    first, second = FFmpegErrors(), FFmpegErrors()
    with first.capture() as logs:
        av.logging.log(av.logging.ERROR, "test", "twice")
        av.logging.log(av.logging.ERROR, "test", "twice")
        av.logging.log(av.logging.INFO, "test", "no error")
    assert [text for _, _, text in logs] == ["twice", "twice"]
    first.close()
    first.close()
    assert av.logging.get_level() == av.logging.ERROR
    second.close()
    assert av.logging.get_level() is None


def test_what_nobody_captures_is_not_printed(capfd: pytest.CaptureFixture[str]) -> None:
    errors = FFmpegErrors()
    av.logging.log(av.logging.ERROR, "test", "heard by nobody")
    errors.close()
    assert capfd.readouterr() == ("", "")


def test_explain() -> None:
    error = av.error.InvalidDataError(1, "Invalid data")
    assert explain(error, [(16, "h264", "no frame!\n")]) == "Invalid data – no frame!"
    assert explain(None, [(16, "h264", "first\n"), (16, "h264", "last\n")]) == "last"
    assert explain(error, []) == "Invalid data"
