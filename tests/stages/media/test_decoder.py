"""Whatever the damage: items in order or a MediaError, and never anything else."""

from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emopipe.pipeline.errors import MediaError
from emopipe.stages.media.recording import Recording
from tests.support.media import check_order, every, make, tone

KINDS = {
    "a.mp4": ("libx264", "aac"),
    "a.mkv": ("libx264", "flac"),
    "a.flv": ("flv", "libmp3lame"),
    "a.avi": ("mpeg4", "libmp3lame"),
    "a.ts": ("mpeg2video", "aac"),
}
WOUNDS = st.lists(
    st.tuples(st.sampled_from(["noise", "zeros", "lost"]), st.floats(0, 1, exclude_max=True), st.integers(1, 2000)),
    min_size=1,
    max_size=6,
)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("decoder")
    sound = tone(2, 44_100)
    return {
        name: make(
            folder / name,
            pictures=every(25, 2),
            video=video,
            sound=sound,
            rate=44_100,
            audio=audio,
            base=Fraction(1, 25),
            options={"movflags": "faststart"} if name == "a.mp4" else None,
        )
        for name, (video, audio) in KINDS.items()
    }


@pytest.mark.slow("many examples")
@given(name=st.sampled_from(sorted(KINDS)), wounds=WOUNDS, seed=st.binary(min_size=2000, max_size=2000))
@settings(max_examples=60, deadline=None)
def test_any_damage(recordings: dict[str, Path], name: str, wounds: list[tuple[str, float, int]], seed: bytes) -> None:
    data = bytearray(recordings[name].read_bytes())
    for kind, where, length in wounds:
        at = int(where * len(data))
        hit = min(length, len(data) - at)
        data[at : at + hit] = {"noise": seed[:hit], "zeros": bytes(hit), "lost": b""}[kind]
    hurt = recordings[name].with_name(f"hurt-{name}")
    hurt.write_bytes(data)
    try:
        with Recording(hurt) as recording:
            items = list(recording)
    except MediaError:
        return
    check_order(items)
    assert recording.counters["damaged"] == sum(place.errors for place in recording.damage)


def test_a_stream_that_appears_on_the_way_is_no_error(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.flv", pictures=every(25, 10), video="flv", sound=tone(10, 44_100), audio="libmp3lame", rate=44_100
    )
    # A tag of sound (8) in another codec (3: PCM) is another stream, for FFmpeg; so late, it is not seen on opening.
    data = path.read_bytes()
    sound = bytes([0x3E]) + bytes(64)
    tag = bytes([8]) + len(sound).to_bytes(3, "big") + bytes(7) + sound + (11 + len(sound)).to_bytes(4, "big")
    at = 13  # behind the file's header
    while at < len(data) * 0.9:
        at += 15 + int.from_bytes(data[at + 1 : at + 4], "big")
    path.write_bytes(data[:at] + tag + data[at:])
    with Recording(path) as recording:
        items = list(recording)
    assert recording.counters["frames"] == 250
    check_order(items)
