"""Every sample at the container's own time, whatever the container, and however it interleaves its tracks."""

from pathlib import Path

import numpy as np
import pytest

from emopipe.pipeline.clock import MS
from emopipe.stages.media.recording import Recording
from emopipe.stages.types import AudioBlock, VideoFrame
from tests.support.remux import CONTAINERS, VARIANTS, remux, truth, windows

FRAME_NS = 40 * MS
BLOCK_NS = 64 * MS
REAL = ("ravdess/Actor_01/01-01-08-01-01-02-01.mp4", "crema-d/1001_DFA_ANG_XX.flv", "faces/face_noface.mov")
WHOLLY = ("base.mkv", "gap12.mkv", "still20.mp4", "crema-d/1001_DFA_ANG_XX.flv", "faces/face_noface.mov")
CASES = ("base.mkv", "gap12.mkv", "gap12_bf0.mp4", "slides.mkv", "slides.mp4", "vshort40.mp4", "still20.mp4")


def check(path: Path) -> None:
    """What is read of `path` is what plain FFmpeg says is in it."""
    expected = truth(path)
    with Recording(path, small_size=64, luma_size=64) as recording:
        items = list(recording)
    frames = [item.pts for item in items if isinstance(item.payload, VideoFrame)]
    audio = [(item.pts, item.payload.samples) for item in items if isinstance(item.payload, AudioBlock)]
    assert len(frames) == len(expected.frames), path.name
    assert np.abs(np.array(frames) - expected.frames).max(initial=0) < FRAME_NS, path.name
    assert recording.counters["overlapping"] == recording.counters["late"] == 0, path.name
    assert recording.damage == [], path.name
    assert sum(len(each) for _, each in audio) == sum(len(each) for _, each in expected.audio), path.name
    heard, told = windows(audio), windows(expected.audio)
    assert len(heard) == len(told), path.name
    assert np.abs(np.array(heard) - np.array(told)).max(initial=0) < BLOCK_NS, path.name


@pytest.mark.slow("real recordings")
@pytest.mark.parametrize(
    ("container", "variant"),
    [("mp4", "behind"), ("fragmented", "behind"), ("ts", "behind"), ("flv", "late"), ("mkv", "early")],
)
def test_a_standing_picture_in_any_container(shared_cases: Path, tmp_path: Path, container: str, variant: str) -> None:
    check(remux(shared_cases / "gap12.mkv", tmp_path, container, variant))


def test_sound_from_before_a_clock_at_0_may_come_later_in_the_file(shared_cases: Path, tmp_path: Path) -> None:
    path = remux(shared_cases / "gap12_bf0.mp4", tmp_path, "ts", "behind")
    check(path)
    with Recording(path, small_size=64, luma_size=64) as recording:
        begins = {item.kind: item.pts for item in reversed(list(recording))}
    assert begins == {"audio": 0, "video": pytest.approx(21 * MS, abs=MS)}


# Every variant of what differs in kind, and the hardest one, sound that lies 10 s behind, of the others.
MATRIX = [
    (name, container, variant)
    for name in (*CASES, *REAL)
    for container in CONTAINERS
    for variant in VARIANTS
    if name in WHOLLY or variant == "behind"
]


@pytest.mark.slow("re-encodes and reads hundreds of recordings")
@pytest.mark.parametrize(("name", "container", "variant"), MATRIX)
def test_any_recording_in_any_container(
    shared_cases: Path, shared_media: Path, tmp_path: Path, name: str, container: str, variant: str
) -> None:
    source = (shared_media if "/" in name else shared_cases) / name
    check(remux(source, tmp_path, container, variant))
