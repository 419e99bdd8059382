"""One track alone: times that the container got wrong."""

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emopipe.pipeline.clock import MS, SECOND
from emopipe.stages.media.audio import SAMPLE_NS
from emopipe.stages.media.damage import MediaFault
from emopipe.stages.media.tracks import AudioTrack, Item, VideoTrack
from emopipe.stages.types import AudioBlock
from tests.support.media import every, make, tone

TIMES = st.lists(st.none() | st.integers(-2000, 20_000), max_size=40)


@pytest.fixture(scope="module")
def container(tmp_path_factory: pytest.TempPathFactory) -> Iterator[av.container.InputContainer]:
    path = tmp_path_factory.mktemp("tracks") / "a.mkv"
    make(path, pictures=every(25, 1), sound=tone(1, 16_000), audio="pcm_s16le")
    with av.open(str(path)) as opened:
        yield opened


def picture_track(container: av.container.InputContainer) -> VideoTrack:
    return VideoTrack(container.streams.video[0], Counter(), 320, 1280)


def sound_track(container: av.container.InputContainer) -> AudioTrack:
    return AudioTrack(container.streams.audio[0], Counter())


def show(track: VideoTrack, at: int | None) -> Item:
    frame = av.VideoFrame(16, 16, "gray")
    frame.pts = None if at is None else at
    (item,) = track.read(frame, None if at is None else at * MS)
    return item


def hear(track: AudioTrack, at: int | None, samples: int = 1024, faults: list[str] | None = None) -> list[Item]:
    """The items of one frame; what is left out of it is said in `faults`."""
    frame = av.AudioFrame.from_ndarray(np.ones((1, samples), np.int16), "s16", "mono")
    frame.sample_rate = 16_000
    items = []
    try:
        for item in track.read(frame, None if at is None else at * MS):
            items.append(item)
    except MediaFault as fault:
        (faults if faults is not None else []).append(str(fault))
    return items


@given(TIMES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pictures_always_go_on(container: av.container.InputContainer, times: list[int | None]) -> None:
    track = picture_track(container)
    items = [show(track, at) for at in times]
    assert all(b.pts > a.pts for a, b in pairwise(items))
    assert all(item.pts >= 0 for item in items)
    wrong = sum(at is None or item.pts != at * MS for at, item in zip(times, items, strict=True))
    assert track.counters["repaired"] == wrong
    assert track.counters["frames"] == len(times)


@given(TIMES)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_sound_never_overlaps_and_each_sample_is_counted(
    container: av.container.InputContainer, times: list[int | None]
) -> None:
    track = sound_track(container)
    faults: list[str] = []
    items = [item for at in times for item in hear(track, at, faults=faults)] + list(track.flush())
    assert bool(faults) == bool(track.counters["overlapping"])
    assert all(b.pts >= a.pts + a.duration for a, b in pairwise(items))
    given_out = sum(item.payload.samples.size for item in items if isinstance(item.payload, AudioBlock))
    assert given_out == track.counters["samples"]
    # What was to be left out may exceed what came after it.
    assert given_out >= 1024 * len(times) - track.counters["overlapping"]
    assert track.counters["source-samples"] == 1024 * len(times)


def test_missing_and_wrong_times_of_pictures(container: av.container.InputContainer) -> None:
    track = picture_track(container)
    assert [show(track, at).pts // MS for at in (-5, 40, None, 40, 130)] == [0, 40, 80, 81, 130]
    assert track.counters["repaired"] == 3


def test_sound_whose_time_is_taken_is_left_out(container: av.container.InputContainer) -> None:
    track = sound_track(container)
    faults: list[str] = []
    items = [*hear(track, 0, 16_000), *hear(track, 700, 16_000, faults), *track.flush()]
    assert faults == ["0.30 s are left out, since there is audio of that time already"]
    assert track.counters["overlapping"] == 4800
    assert track.counters["samples"] == 16_000 + 16_000 - 4800
    assert items[-1].pts + items[-1].duration == 1700 * MS


def test_a_gap_promises_and_what_comes_too_late_is_left_out_and_said(container: av.container.InputContainer) -> None:
    pictures, sound = picture_track(container), sound_track(container)
    show(pictures, 0)
    hear(sound, 0)
    assert list(pictures.skip_to(2 * SECOND)) == [Item("video", 40 * MS, 1960 * MS, None)]
    assert list(sound.skip_to(2 * SECOND)) == [Item("audio", 64 * MS, 1936 * MS, None)]
    with pytest.raises(MediaFault, match=r"comes 1\.00 s too late in the file, and is left out"):
        show(pictures, 1000)
    assert [show(pictures, at).pts // MS for at in (2000, 2100)] == [2000, 2100]
    assert pictures.counters["late"] == 1
    faults: list[str] = []
    late = [*hear(sound, 1900, 3200, faults), *sound.flush()]
    assert faults == ["0.10 s are left out, since they come too late in the file"]
    assert [(item.pts, item.duration) for item in late] == [
        (2 * SECOND, 1024 * SAMPLE_NS),
        (2 * SECOND + 64 * MS, 576 * SAMPLE_NS),
    ]
    assert sound.counters["overlapping"] == 1600


def test_after_a_promise_sound_begins_where_it_says(container: av.container.InputContainer) -> None:
    track = sound_track(container)
    list(track.skip_to(SECOND))
    assert hear(track, 1030)[0].pts == 1030 * MS
