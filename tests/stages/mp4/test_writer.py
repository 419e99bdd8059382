"""mp4 files: their times, their sound, their sizes, and what is left of them when a run is cut short."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import pytest

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.errors import StageFailed
from emopipe.stages.media.audio import SAMPLE_NS, SAMPLE_RATE_HZ
from emopipe.stages.media.recording import Recording
from emopipe.stages.mp4.source_audio import SourceAudio
from emopipe.stages.mp4.writer import Mp4Writer
from emopipe.stages.types import VideoFrame
from tests.support.media import every, make, tone


def frame(number: int = 0, width: int = 96, height: int = 64) -> VideoFrame:
    luma = np.full((height, width), 40, np.uint8)
    luma[:, number * 5 % width :][:, :8] = 220
    return VideoFrame(luma=luma, small=np.repeat(luma[..., None], 3, -1))


class Seen(NamedTuple):
    """What a player finds: times in s."""

    size: tuple[int, int]
    pictures: list[float]
    sounds: list[tuple[float, int]]  # time, samples
    rate: int
    duration: float


def play(path: Path) -> Seen:
    with av.open(str(path)) as container:
        video = next(iter(container.streams.video), None)
        audio = next(iter(container.streams.audio), None)
        frames = [each for packet in container.demux() for each in packet.decode()]
        return Seen(
            (video.width, video.height) if video is not None else (0, 0),
            [round(each.time, 4) for each in frames if isinstance(each, av.VideoFrame)],
            [(round(each.time, 4), each.samples) for each in frames if isinstance(each, av.AudioFrame)],
            audio.sample_rate if audio is not None else 0,
            (container.duration or 0) / av.time_base,
        )


def film(path: Path, times: Iterable[float], **options: object) -> Mp4Writer:
    made = Mp4Writer(path, **options)  # type: ignore[arg-type]
    for number, at in enumerate(times):
        made.add_frame(frame(number), round(at * SECOND), 40 * MS)
    return made


def test_the_times_of_the_pictures_are_kept(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.1, 0.5, 0.51, 2.25]
    film(tmp_path / "a.mp4", times).finish()
    seen = play(tmp_path / "a.mp4")
    assert seen.pictures == pytest.approx(times, abs=1e-3)
    assert seen.duration == pytest.approx(2.29, abs=0.02)
    assert seen.rate == 0


def test_running_time_is_the_films_time_whenever_it_begins(tmp_path: Path) -> None:
    made = film(tmp_path / "a.mp4", [2.0, 2.04, 2.08], has_audio=True)
    made.add_audio(np.full(SAMPLE_RATE_HZ // 2, 0.5, np.float32), 1_500 * MS)
    made.finish()
    seen = play(tmp_path / "a.mp4")
    assert seen.pictures == pytest.approx([0, 2.04, 2.08], abs=1e-3)  # the first is shown from 0 on
    assert seen.sounds[0][0] == 0
    with av.open(str(tmp_path / "a.mp4")) as container:
        samples = np.concatenate([each.to_ndarray()[0] for each in container.decode(audio=0)])
    assert abs(samples[: round(1.4 * SAMPLE_RATE_HZ)]).max() < 0.05
    assert abs(samples[round(1.6 * SAMPLE_RATE_HZ) : round(1.9 * SAMPLE_RATE_HZ)]).mean() == pytest.approx(0.5, abs=0.1)


def test_sound_keeps_its_place_over_holes_and_repetitions(tmp_path: Path) -> None:
    made = film(tmp_path / "a.mp4", [0.0], has_audio=True)
    noise = np.random.default_rng(1).uniform(-0.3, 0.3, SAMPLE_RATE_HZ).astype(np.float32)
    made.add_audio(noise, 0)
    made.add_audio(noise[: SAMPLE_RATE_HZ // 2], SECOND // 2)  # all of it was there already
    made.add_audio(noise, 3 * SECOND)
    made.finish()
    seen = play(tmp_path / "a.mp4")
    assert sum(samples for _, samples in seen.sounds) == pytest.approx(4 * SAMPLE_RATE_HZ, abs=1024)
    for (one, samples), (other, _) in pairwise(seen.sounds):
        assert other - one == pytest.approx(samples / SAMPLE_RATE_HZ, abs=1e-3)


def test_tracks_that_never_come(tmp_path: Path) -> None:
    silent = film(tmp_path / "silent.mp4", [0.0, 0.04], has_audio=True)
    silent.end_audio()
    silent.finish()
    assert play(tmp_path / "silent.mp4").rate == 0
    heard = Mp4Writer(tmp_path / "heard.mp4", has_audio=True)
    heard.end_video()
    heard.add_audio(np.zeros(SAMPLE_RATE_HZ, np.float32), 0)
    heard.finish()
    assert play(tmp_path / "heard.mp4").size == (0, 0)
    assert play(tmp_path / "heard.mp4").duration == pytest.approx(1, abs=0.1)
    Mp4Writer(tmp_path / "nothing.mp4", has_audio=True).finish()
    assert not (tmp_path / "nothing.mp4").exists()


def test_nobody_waits_for_ever_for_the_other_track(tmp_path: Path) -> None:
    made = film(tmp_path / "a.mp4", every(10, 4), has_audio=True)  # sound may come, but does not
    assert made.written
    made.add_audio(np.zeros(SAMPLE_RATE_HZ, np.float32), 3 * SECOND)
    made.finish()
    seen = play(tmp_path / "a.mp4")
    assert len(seen.pictures) == 40
    assert sum(samples for _, samples in seen.sounds) == pytest.approx(4 * SAMPLE_RATE_HZ, abs=1024)
    blind = Mp4Writer(tmp_path / "b.mp4", has_audio=True)  # pictures may come, and do so late
    for second in range(12):
        blind.add_audio(np.zeros(SAMPLE_RATE_HZ, np.float32), second * SECOND)
    assert blind.written
    blind.add_frame(frame(), 12 * SECOND, 40 * MS)
    blind.finish()
    assert len(play(tmp_path / "b.mp4").pictures) == 1


def test_sizes_that_are_odd_or_change(tmp_path: Path) -> None:
    made = Mp4Writer(tmp_path / "a.mp4")
    for number, (width, height) in enumerate([(97, 65), (640, 360), (48, 160), (97, 65)]):
        made.add_frame(frame(number, width, height), number * 40 * MS, 40 * MS)
    made.finish()
    seen = play(tmp_path / "a.mp4")
    assert seen.size == (98, 66)
    assert len(seen.pictures) == 4


def test_time_that_jumps_goes_on(tmp_path: Path) -> None:
    made = film(tmp_path / "a.mp4", [0.0, 0.04, 0.08])
    made.jump()
    made.add_frame(frame(), 9 * SECOND, 40 * MS)
    made.jump()
    made.add_frame(frame(), 0, 40 * MS)
    made.finish()
    assert play(tmp_path / "a.mp4").pictures == pytest.approx([0, 0.04, 0.08, 0.12, 0.16], abs=1e-3)


def test_a_finished_film_can_be_sought_in(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", every(25, 6)).finish()
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].frames == 150
        container.seek(round(5 * av.time_base), backward=True)
        assert 2 < next(container.decode(video=0)).time <= 5


def rewritten(source: Path, path: Path, *, has_audio: bool = False) -> Path:
    """A film of a recording's pictures and its own sound."""
    made = Mp4Writer(path, source_audio=SourceAudio(source), has_audio=has_audio)
    with Recording(source) as recording:
        for item in recording:
            if isinstance(item.payload, VideoFrame):
                made.add_frame(item.payload, item.pts, item.duration)
    made.finish()
    return path


@pytest.mark.parametrize("audio", ["aac", "mp3", "pcm_s16le"])
def test_the_recordings_own_sound(tmp_path: Path, audio: str) -> None:
    source = make(
        tmp_path / "a.mkv", pictures=every(25, 2), sound=tone(2, 44_100), rate=44_100, layout="stereo", audio=audio
    )
    seen = play(rewritten(source, tmp_path / "a.mp4", has_audio=True))
    assert seen.rate == 44_100
    assert sum(samples for _, samples in seen.sounds) / 44_100 == pytest.approx(2, abs=0.06)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.audio[0].codec_context.name.startswith("mp3" if audio == "mp3" else "aac")


def test_sound_that_goes_from_stereo_to_mono_and_back(tmp_path: Path) -> None:
    """As that of a broadcast does, between films and advertisements."""
    parts = [
        make(
            tmp_path / f"{number}.ts", pictures=every(25, 1), sound=tone(1, rate), rate=rate, layout=layout, audio="mp2"
        )
        for number, (layout, rate) in enumerate([("stereo", 48_000), ("mono", 48_000), ("stereo", 44_100)])
    ]
    source = tmp_path / "all.ts"
    source.write_bytes(b"".join(part.read_bytes() for part in parts))
    seen = play(rewritten(source, tmp_path / "a.mp4"))
    assert seen.rate == 48_000
    assert sum(samples for _, samples in seen.sounds) / 48_000 == pytest.approx(3, abs=0.15)


def test_sound_that_begins_before_the_pictures_stays_with_them(tmp_path: Path) -> None:
    source = make(tmp_path / "a.mkv", pictures=every(25, 2, start=0.5), sound=tone(2.5, 16_000))
    seen = play(rewritten(source, tmp_path / "a.mp4"))
    assert seen.pictures[1] == pytest.approx(0.54, abs=0.03)
    assert seen.sounds[0][0] == pytest.approx(0, abs=0.07)


SCRIPT = """
import sys
from pathlib import Path
import numpy as np
from emopipe.pipeline.errors import StageFailed
from emopipe.stages.mp4.writer import Mp4Writer
from tests.stages.mp4.test_writer import frame
noise = np.random.default_rng(1)
film = Mp4Writer(Path(sys.argv[1]), has_audio=True, crf=10)
try:
    for number in range(10_000):
        picture = frame(number, 320, 240)
        picture.luma[...] = noise.integers(0, 255, picture.luma.shape)
        film.add_frame(picture, number * 40_000_000, 40_000_000)
        film.add_audio(np.zeros(640, np.float32), number * 40_000_000)
        if number == 150:
            print("there", flush=True)
except StageFailed as error:
    print(error)
"""


@pytest.mark.slow("whole processes")
def test_a_killed_run_leaves_a_film_that_plays(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with subprocess.Popen([sys.executable, "-c", SCRIPT, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        process.send_signal(signal.SIGKILL)
    shown = 0
    with av.open(str(path)) as container:
        for packet in container.demux(video=0):
            try:
                shown += len(packet.decode())
            except av.error.InvalidDataError:  # the one that was being written
                break
    assert shown > 60  # of more than 150; the newest second or two are lost


@pytest.mark.slow("many examples")
def test_a_disk_that_is_full(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))\n"
    done = subprocess.run(
        [sys.executable, "-c", limit + SCRIPT, str(path)], capture_output=True, text=True, check=True, timeout=120
    )
    said = done.stdout.splitlines()[-1]
    assert said.startswith(f"{path} cannot be written any more: File too large; what came before ")
    assert said.endswith("s can be played; free some space, or choose another path")
    assert os.path.getsize(path) <= 400_000  # noqa: PTH202


def test_a_path_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match=r"no/a\.mp4 cannot be written any more: No such file .* nothing was written"):
        film(tmp_path / "no" / "a.mp4", [0.0])


def test_a_tick_is_a_sample() -> None:
    assert SAMPLE_NS * SAMPLE_RATE_HZ == SECOND
