"""Whole recordings: what is in them comes out, once, at its time."""

import gc
import weakref
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from emopipe.pipeline.clock import MS, SECOND
from emopipe.stages.media.recording import AHEAD_EVENTS, Item, Recording
from emopipe.stages.types import VideoFrame
from tests.support.media import check_order, corner, every, make, plainly, tone
from tests.support.recording_items import blocks, gaps, heard, pictures, read

REAL = [
    "crema-d/1001_DFA_ANG_XX.flv",
    "crema-d/1001_DFA_HAP_XX.flv",
    "crema-d/1001_DFA_NEU_XX.flv",
    "faces/WolfgangLanger_Pexels.mp4",
    "faces/face_noface.mov",
    "faces/no_face.mp4",
    "faces/single_face.mp4",
    "faces/single_face.jpg",
    "faces/multi_face.jpg",
    "ravdess/Actor_01/01-01-01-01-01-01-01.mp4",
    "ravdess/Actor_01/01-01-08-01-01-02-01.mp4",
    "ravdess/Actor_01/01-01-08-02-02-02-01.mp4",
]


def check_promises(items: list[Item], short: str, first: bool = False) -> None:
    """Whoever waits for the track `short` waits for 5 s of the other one at most."""
    assert not first or items[0].kind == short
    promised = 0
    for item in items:
        if item.kind == short:
            promised = max(promised, item.pts + item.duration)
        else:
            assert item.pts - promised <= 5 * SECOND


def seconds(*times: float) -> list[int]:
    return [round(time * SECOND) for time in times]


# -- everything, once ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "video", "audio"),
    [
        ("a.mp4", "libx264", "aac"),
        ("a.mov", "mpeg4", "aac"),
        ("a.mkv", "libx264", "flac"),
        ("a.webm", "libvpx", "libopus"),
        ("a.avi", "mpeg4", "pcm_s16le"),
        ("a.ts", "mpeg2video", "mp2"),
        ("a.flv", "flv", "libmp3lame"),
    ],
)
def test_every_frame_and_sample_comes_out_once(tmp_path: Path, name: str, video: str, audio: str) -> None:
    rate = 48_000 if audio == "libopus" else 44_100
    path = make(
        tmp_path / name,
        pictures=every(25, 2),
        video=video,
        sound=tone(2, rate),
        audio=audio,
        rate=rate,
        layout="stereo",
        base=Fraction(1, 25),
    )
    plain = plainly(path)
    items, recording = read(path)
    assert len(pictures(items)) == recording.counters["frames"] == len(plain.pictures) == 50
    assert recording.counters["source-samples"] == plain.samples
    assert len(heard(items)) == recording.counters["samples"]
    assert recording.counters["samples"] == pytest.approx(plain.samples * 16_000 / rate, abs=2)
    assert recording.counters["repaired"] == 0
    assert recording.damage == []
    check_order(items)


@pytest.mark.slow("real recordings")
@pytest.mark.parametrize("name", REAL)
def test_real_recordings(shared_media: Path, name: str) -> None:
    path = shared_media / name
    plain = plainly(path)
    items, recording = read(path)
    check_order(items)
    assert recording.damage == []
    assert recording.counters["frames"] == len(pictures(items)) == len(plain.pictures)
    assert recording.counters["source-samples"] == plain.samples
    assert recording.counters["samples"] == sum(item.payload.samples.size for item in blocks(items))
    # The pictures' distances are the container's own.
    first = pictures(items)[0].pts
    times = [(item.pts - first) / SECOND for item in pictures(items)]
    assert times == pytest.approx([time - plain.pictures[0] for time in plain.pictures], abs=1e-6)


@pytest.mark.slow("a long recording")
@pytest.mark.parametrize("ahead", [False, True])
def test_frames_are_let_go_without_the_garbage_collector(tmp_path: Path, ahead: bool) -> None:
    """PyAV's own side data is a cycle: gigabytes would wait for the collector."""
    path = make(tmp_path / "a.mp4", pictures=every(25, 2), draw=lambda number: corner(), turn=90)

    def kept() -> int:
        return sum(type(each) is av.VideoFrame for each in gc.get_objects())  # isinstance wakes lazy modules

    gc.collect()
    gc.disable()
    before = kept()
    try:
        with Recording(path, ahead=ahead) as recording:
            most = max(kept() for _ in recording) - before
    finally:
        gc.enable()
    assert recording.counters["frames"] == 50
    assert most <= 4 + (2 * AHEAD_EVENTS if ahead else 0)  # those decoded ahead, and those before them that are used


def test_nothing_read_is_kept(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", pictures=every(25, 8), sound=tone(8, 16_000), audio="pcm_s16le")
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0
    with Recording(path) as recording:
        for item in recording:
            if isinstance(item.payload, VideoFrame):
                alive.append(weakref.ref(item.payload.small))
                most = max(most, sum(ref() is not None for ref in alive))
    del item
    gc.collect()
    assert len(alive) == 200
    assert most <= 2


def test_closing_in_the_middle(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", pictures=every(25, 2))
    with Recording(path) as recording:
        assert next(iter(recording)).pts == 0
    recording.close()
    assert av.logging.get_level() is None


# -- sound ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000, 96000])
@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_any_rate_and_layout_becomes_16_khz_mono(tmp_path: Path, rate: int, layout: str) -> None:
    path = make(tmp_path / "a.mkv", sound=tone(1, rate), audio="pcm_s16le", rate=rate, layout=layout)
    items, recording = read(path)
    samples = heard(items)
    assert recording.kinds == ["audio"]
    assert recording.counters["source-samples"] == rate
    assert samples.dtype == np.float32
    assert len(samples) == pytest.approx(16_000, abs=1)
    # Neither louder nor later, however many channels it had.
    inner = slice(2000, 14_000)
    assert np.abs(samples[inner] - tone(1, 16_000)[: len(samples)][inner]).max() < 0.01
    assert [item.pts for item in blocks(items)] == [number * 64 * MS for number in range(len(blocks(items)))]


def test_blocks_have_the_length_asked_for(tmp_path: Path) -> None:
    path = make(tmp_path / "a.wav", sound=tone(1, 16_000), audio="pcm_s16le")
    with Recording(path, block=0.1) as recording:
        assert [len(item.payload.samples) for item in recording] == [1600] * 10


def test_a_hole_in_the_sound_is_a_gap(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", sound=tone(2, 16_000), audio="pcm_s16le", hole=(1.024, 0.5))
    items, recording = read(path)
    assert gaps(items) == [("audio", *seconds(1.024, 0.5))]
    assert recording.counters["samples"] == 32_000
    check_order(items)


def test_a_hole_shorter_than_a_block_is_not(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", sound=tone(2, 16_000), audio="pcm_s16le", hole=(1.024, 0.05))
    assert gaps(read(path)[0]) == []


# -- the time line -------------------------------------------------------------------------------------------


def test_variable_frame_rate(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.05, 0.3, 0.31, 1.0, 4.5, 4.54]
    items, recording = read(make(tmp_path / "a.mkv", pictures=times))
    assert [item.pts for item in pictures(items)] == seconds(*times)
    assert recording.counters["repaired"] == 0


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.mp4"])
def test_running_time_begins_at_0(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / name, pictures=every(25, 1, start=100.5), sound=tone(1, 48_000), rate=48_000, sound_at=100.5)
    items, _ = read(path)
    assert min(item.pts for item in items) == 0
    first = {item.kind: item.pts for item in reversed(items)}
    assert abs(first["audio"] - first["video"]) <= 45 * MS  # AAC begins with 1,024 samples of its own


@pytest.mark.parametrize("late", ["video", "audio"])
def test_a_track_that_begins_later(tmp_path: Path, late: str) -> None:
    path = make(
        tmp_path / "a.mkv",
        pictures=every(25, 1, start=0.7 if late == "video" else 0),
        sound=tone(1, 16_000),
        audio="pcm_s16le",
        sound_at=0.7 if late == "audio" else 0,
    )
    items, _ = read(path)
    first = {item.kind: item.pts for item in reversed(items) if item.payload is not None}
    assert first == {"video": 0, "audio": 0, late: 700 * MS}
    check_order(items)


@pytest.mark.parametrize(("name", "audio"), [("a.mp4", "aac"), ("a.mkv", "pcm_s16le")])
def test_who_waits_for_a_track_that_begins_much_later_is_told(tmp_path: Path, name: str, audio: str) -> None:
    path = make(tmp_path / name, pictures=every(25, 8), sound=tone(1, 16_000), audio=audio, sound_at=6.0)
    items, _ = read(path)
    check_order(items)
    assert blocks(items)[0].pts == pytest.approx(6 * SECOND, abs=70 * MS)
    assert sum(duration for _, _, duration in gaps(items)) == blocks(items)[0].pts
    check_promises(items, "audio", first=name == "a.mp4")  # its header says when it begins


@pytest.mark.parametrize("short", ["video", "audio"])
def test_who_waits_for_a_track_that_has_ended_is_told(tmp_path: Path, short: str) -> None:
    path = make(
        tmp_path / "a.mkv",
        pictures=every(25, 1 if short == "video" else 10),
        sound=tone(1 if short == "audio" else 10, 16_000),
        audio="pcm_s16le",
    )
    items, recording = read(path)
    check_order(items)
    assert {kind for kind, _, _ in gaps(items)} == {short}
    check_promises(items, short)
    assert recording.counters["frames"] == (25 if short == "video" else 250)


@pytest.mark.parametrize(("pictures_", "sound"), [((), True), (every(25, 1), False)])
def test_one_track_alone(tmp_path: Path, pictures_: list[float], sound: bool) -> None:
    path = make(tmp_path / "a.mp4", pictures=pictures_, sound=tone(1, 16_000) if sound else None)
    items, recording = read(path)
    assert recording.kinds == ["audio" if sound else "video"]
    assert {item.kind for item in items} == set(recording.kinds)
    assert items[0].pts == 0


def test_a_clock_that_starts_anew_goes_on(tmp_path: Path) -> None:
    path = make(tmp_path / "a.ts", pictures=every(25, 3), sound=tone(3, 48_000), rate=48_000, audio="mp2")
    path.write_bytes(path.read_bytes() * 2)
    items, recording = read(path)
    check_order(items)
    assert recording.counters["frames"] == len(plainly(path).pictures)
    assert recording.counters["source-samples"] == plainly(path).samples
    shown = pictures(items)
    assert len(shown) >= 148
    assert shown[-1].pts == pytest.approx(5.96 * SECOND, abs=0.2 * SECOND)
    # Sound and pictures stay together.
    sounds = blocks(items)[-1]
    assert sounds.pts + sounds.duration == pytest.approx(shown[-1].pts + shown[-1].duration, abs=0.1 * SECOND)


# -- which streams -------------------------------------------------------------------------------------------


def test_cover_art_is_no_video(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    with av.open(str(path), "w") as container:
        song = container.add_stream("libmp3lame", rate=16_000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((64, 64, 3), np.uint8), "rgb24")))
        frame = av.AudioFrame.from_ndarray((tone(1, 16_000) * 32767).astype(np.int16)[None], "s16", "mono")
        frame.sample_rate = 16_000
        container.mux(song.encode(frame))
        container.mux(song.encode(None))
    assert read(path)[1].kinds == ["audio"]


def test_the_default_of_several_audio_tracks_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        for loud, default in ((0.1, False), (0.5, True)):
            stream = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
            stream.disposition = av.stream.Disposition.default if default else av.stream.Disposition(0)
            stream.metadata["title"] = str(loud)
        for stream, loud in zip(container.streams, (0.1, 0.5), strict=True):
            samples = np.full((1, 8000), loud * 32767, np.int16)
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.sample_rate = 16_000
            container.mux(stream.encode(frame))
    assert heard(read(path)[0]).mean() == pytest.approx(0.5, abs=0.01)
