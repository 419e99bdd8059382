"""Recordings that are damaged, cut off, or none at all: what is said, and what is read all the same."""

from pathlib import Path

import av
import pytest

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import MediaError
from emopipe.stages.media.container import unreadable
from emopipe.stages.media.recording import Recording
from tests.support.media import check_order, cut_off, every, make, plainly, spoil, tone
from tests.support.recording_items import pictures, read


def test_a_kind_that_ffmpeg_lacks_is_named(tmp_path: Path) -> None:
    """Nothing is wrong with the file, so copying it again would not help."""
    path = tmp_path / "a.jxl"
    path.write_bytes(bytes([0xFF, 0x0A]) + bytes(range(200)))
    with pytest.raises(MediaError, match=r"holds: video, and this FFmpeg has no decoder for that\); convert it"):
        Recording(path)


@pytest.mark.parametrize(("name", "audio"), [("a.mp4", "aac"), ("a.mkv", "flac"), ("a.ts", "aac")])
def test_a_corrupt_middle_is_reported_with_its_time_and_the_rest_is_read(tmp_path: Path, name: str, audio: str) -> None:
    whole = make(tmp_path / name, pictures=every(25, 6), sound=tone(6, 16_000), audio=audio, gop=10)
    spoil(whole, 0.5, 1500)
    told: list[str] = []
    with Recording(whole, on_damage=lambda place: told.append(str(place))) as recording:
        items = list(recording)
    check_order(items)
    assert recording.damage
    assert told == [str(place) for place in recording.damage]
    assert all(SECOND < place.start < 5 * SECOND for place in recording.damage)
    assert told[0].startswith("damaged ")
    assert recording.counters["damaged"] == sum(place.errors for place in recording.damage)
    assert recording.counters["frames"] == len(pictures(items)) == len(plainly(whole).pictures)
    assert len(pictures(items)) >= 120
    assert pictures(items)[-1].pts >= 5.9 * SECOND


@pytest.mark.parametrize("name", ["a.mkv", "a.flv", "a.avi", "a.mp4"])
def test_a_recording_that_was_cut_off(tmp_path: Path, name: str) -> None:
    early_index = {"movflags": "faststart"} if name == "a.mp4" else None
    codecs = {"video": "mpeg4", "audio": "pcm_s16le"} if name == "a.avi" else {}
    path = make(
        tmp_path / name, pictures=every(25, 6), sound=tone(6, 44_100), rate=44_100, options=early_index, **codecs
    )
    cut_off(path, 0.5)
    items, recording = read(path)
    check_order(items)
    assert 40 < recording.counters["frames"] == len(plainly(path).pictures) < 120
    ends = max(item.pts + item.duration for item in items)
    last = recording.damage[-1]
    assert last.end == pytest.approx(ends, abs=SECOND)
    assert "cut off" in last.reason


def test_what_is_silent_is_not_damaged_and_ffmpeg_says_nothing_itself(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = make(tmp_path / "a.mp4", pictures=every(25, 4), sound=tone(4, 16_000), gop=10)
    capfd.readouterr()
    assert read(path)[1].damage == []
    spoil(path, 0.4, 2000)
    assert read(path)[1].damage != []
    assert capfd.readouterr() == ("", "")
    assert av.logging.get_level() is None


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"none\.mp4: no such file; check the path"):
        Recording(tmp_path / "none.mp4")


def test_a_directory(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match="is a directory, but a recording is expected"):
        Recording(tmp_path)


def test_an_address() -> None:
    with pytest.raises(MediaError, match=r"https://example.org/a.mp4 is an address, but a file is expected"):
        Recording("https://example.org/a.mp4")


def test_an_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(MediaError, match=r"a\.mp4 is empty \(0 bytes\)"):
        Recording(tmp_path / "a.mp4")


@pytest.mark.parametrize("name", ["a.mp4", "a.txt"])
def test_a_text(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("This is no recording.\n" * 100)
    with pytest.raises(MediaError, match=r"is not a recording or picture that FFmpeg can read \(.+\); copy it again"):
        Recording(tmp_path / name)


def test_a_recording_without_its_index(tmp_path: Path) -> None:
    path = cut_off(make(tmp_path / "a.mp4", pictures=every(25, 2)), 0.6)
    with pytest.raises(MediaError, match="cut off before its index"):
        Recording(path)


def test_neither_pictures_nor_sound(tmp_path: Path) -> None:
    path = tmp_path / "a.srt"
    path.write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    with pytest.raises(MediaError, match=r"neither video nor audio .* \(it holds: subtitle\)"):
        Recording(path)


def test_nothing_that_decodes(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", pictures=every(25, 1), options={"movflags": "faststart"})
    data = path.read_bytes()
    start = data.index(b"mdat") + 4
    path.write_bytes(data[:start] + bytes(len(data) - start))
    with pytest.raises(MediaError, match="nothing in it can be decoded"), Recording(path) as recording:
        list(recording)


def test_unreadable_says_nothing_of_a_recording(tmp_path: Path) -> None:
    assert unreadable(make(tmp_path / "a: 100% %03d é.mp4", pictures=every(25, 0.2))) == ""
    assert read(tmp_path / "a: 100% %03d é.mp4")[1].counters["frames"] == 5
