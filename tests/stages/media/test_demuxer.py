"""Packets in the order of their times, and what may be promised of those to come."""

from pathlib import Path

import av
import pytest

from emopipe.pipeline.clock import SECOND
from emopipe.stages.media.damage import FFmpegErrors
from emopipe.stages.media.demuxer import PACKET_BYTES, Demuxer
from emopipe.stages.media.recording import Recording
from emopipe.stages.media.timeline import ns
from tests.support.media import every, make, tone
from tests.support.remux import remux


@pytest.fixture
def behind(tmp_path: Path) -> Path:
    """12 s whose audio lies 10 s behind in the file."""
    source = make(tmp_path / "a.mkv", pictures=every(25, 12), sound=tone(12, 16_000), gop=25)
    return remux(source, tmp_path, "ts", "behind")


def read(path: Path, max_ahead: int) -> tuple[list[float], int]:
    """The times (s) of the packets as they come, and the most bytes that were read ahead."""
    errors = FFmpegErrors()
    times, most = [], 0
    with av.open(str(path)) as container:
        demuxer = Demuxer(container, container.streams, errors, max_ahead=max_ahead)
        for index, packet, wrong in demuxer:
            most = max(most, demuxer._ahead)
            assert wrong == ""
            if packet is not None:
                bound = demuxer.next_time(index)
                time = ns(packet.dts, packet.time_base)
                assert bound is None or bound >= time
                times.append(time / SECOND)
    errors.close()
    return times, most


def test_the_earliest_packet_comes_first(behind: Path) -> None:
    times, _ = read(behind, 1 << 30)
    assert times == sorted(times)
    assert len(times) > 300


def test_what_is_read_ahead_is_bounded(behind: Path) -> None:
    most = 64 * PACKET_BYTES
    times, held = read(behind, most)
    assert held < most + 256 * PACKET_BYTES  # a packet more than allowed, and what the clock is checked with
    assert len(times) == len(read(behind, 1 << 30)[0])
    assert times != sorted(times)


def test_what_comes_too_late_is_said_and_counted(behind: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More is behind in the file than is read ahead: the audio is taken for missing, and then it comes."""
    monkeypatch.setattr(Demuxer.__init__, "__defaults__", (lambda at, jump: None, 64 * PACKET_BYTES))
    with Recording(behind) as recording:
        items = list(recording)
    assert sum(item.payload is None and item.kind == "audio" for item in items) > 0
    assert recording.counters["overlapping"] > 0
    assert any("too late in the file" in place.reason for place in recording.damage)
