"""Results as subtitles."""

import re
from itertools import pairwise
from pathlib import Path

import av
import pytest

from emopipe.pipeline.testing import run_stage
from emopipe.stages.lab.subtitles import Subtitles
from tests.support.lab import expected_segments, scene

TIME = r"(\d\d):(\d\d):(\d\d)[,.](\d{3})"
Cue = tuple[int, int, list[str]]


def written(path: Path) -> list[Cue]:
    """What a strict reader of either format finds."""
    run_stage(Subtitles(Subtitles.Settings(path=str(path))), [("emotions", message) for message in scene()])
    blocks = path.read_text(encoding="utf-8").removesuffix("\n").split("\n\n")
    if path.suffix == ".vtt":
        assert blocks.pop(0) == "WEBVTT"
        assert blocks.pop(0).startswith("NOTE ")
    found = []
    for number, block in enumerate(blocks, 1):
        lines = block.split("\n")
        if path.suffix == ".srt":
            assert lines.pop(0) == str(number)
        match = re.fullmatch(f"{TIME} --> {TIME}", lines.pop(0))
        assert match is not None
        first, second = ([int(part) for part in match.groups()[at : at + 4]] for at in (0, 4))
        start, end = (((h * 60 + m) * 60 + s) * 1000 + ms for h, m, s, ms in (first, second))
        assert lines
        found.append((start, end, lines))
    return found


@pytest.mark.parametrize("suffix", [".srt", ".vtt"])
def test_cues_follow_each_other_and_change_where_results_do(tmp_path: Path, suffix: str) -> None:
    cues = written(tmp_path / f"x{suffix}")
    assert all(start < end for start, end, _ in cues)
    assert all(one[1] <= other[0] for one, other in pairwise(cues))
    changes = {start for start, *_ in cues} | {end for _, end, _ in cues}
    messages = list(scene())
    expected = {round(time / 1e6) for face in (0, 1) for _, *span in expected_segments(messages, face) for time in span}
    assert changes >= expected
    assert changes - expected == {500, 3000}  # the voice's
    assert [lines for _, _, lines in cues] == [
        ["face 0: happy 70 %"],
        ["face 0: happy 70 %", "voice: angry 65 %"],
        ["face 0: happy 70 %", "face 1: surprise 70 %", "voice: angry 65 %"],
        ["face 0: sad 70 %", "face 1: surprise 70 %", "voice: angry 65 %"],
        ["face 0: sad 70 %", "voice: angry 65 %"],
        ["face 0: sad 70 %"],
        ["face 0: sad 50 %, uncertain"],
    ]


@pytest.mark.parametrize("suffix", [".srt", ".vtt"])
def test_ffmpeg_reads_them(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"
    cues = written(path)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux() if packet.size]
    assert [round(float(packet.pts * packet.time_base) * 1000) for packet in packets] == [start for start, *_ in cues]
    assert [bytes(packet).decode().splitlines() for packet in packets] == [lines for *_, lines in cues]


def test_a_recording_in_which_nobody_is_has_no_cue(tmp_path: Path) -> None:
    path = tmp_path / "x.srt"
    run_stage(Subtitles(Subtitles.Settings(path=str(path))), [("emotions", list(scene())[-1])])
    assert path.read_bytes() == b""
