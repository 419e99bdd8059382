"""Inputs that failed once, replayed: every frame at its time, and every window of speech in its place."""

import json
from collections import defaultdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.support.replaying import replay

SPEECH = [(0.83, end) for end in (1.5, 2.0, 2.5, 3.0)]  # of the recording that the others were made of
FRAME_S = 0.04
FILES = (
    *("base.mkv", "gap12.mkv", "gap12.mp4", "gap12.mov", "gap12_bf0.mp4", "slides.mp4", "slides.mkv"),
    *("vshort40.mp4", "still20.mp4", "sarchange.ts", "seg_0.mkv", "seg_1.mkv", "seg_2.mkv"),
    *("join_back.ts", "x264.avi", "Interview [dQw4w9WgXcQ].mkv", "exif2.jpg", "exif5.jpg", "still.jpg", "grid.heic"),
)


pytestmark = pytest.mark.slow("replays twenty recordings through whole processes")


class Replayed:
    """What a replay of all files gave."""

    def __init__(self, results: Path, warnings: list[Any]) -> None:
        self.warnings = warnings
        self.by_name: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for line in results.read_text().splitlines():
            result = json.loads(line)
            self.by_name[result["stream"]].append(result)

    def frames(self, name: str) -> list[float]:
        return [result["pts"] / 1e9 for result in self.by_name[name] if result["source"] == "face"]

    def speech(self, name: str) -> list[tuple[float, float]]:
        voices = [result["voice"] for result in self.by_name[name] if result["voice"]]
        return sorted({(voice["start"] / 1e9, voice["end"] / 1e9) for voice in voices})

    def boxes(self, name: str) -> list[list[float]]:
        """The boxes of the frames that show a face; each shows one."""
        faces = [result["faces"] for result in self.by_name[name] if result["source"] == "face"]
        assert all(len(each) == 1 for each in faces), name
        return [each[0]["box"] for each in faces]


@pytest.fixture(scope="module")
def replayed(shared_cases: Path, tmp_path_factory: pytest.TempPathFactory) -> Replayed:
    out = tmp_path_factory.mktemp("cases") / "results.jsonl"
    names = [Path(name).stem for name in FILES]
    assert len(set(names)) < len(names)  # those of one name get numbers: slides, slides-2
    result = replay([shared_cases / name for name in FILES], out)
    return Replayed(out, result.warnings)


def close(found: list[tuple[float, float]], expected: list[tuple[float, float]]) -> bool:
    return len(found) == len(expected) and all(
        abs(a - b) < 0.07 for one, other in zip(found, expected, strict=True) for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("name", ["gap12", "gap12-2", "gap12-3", "gap12_bf0", "Interview [dQw4w9WgXcQ]"])
def test_a_picture_that_stands_for_12_s(replayed: Replayed, name: str) -> None:
    assert close(replayed.speech(name), [(start + 3, end + 3) for start, end in SPEECH])
    frames = replayed.frames(name)
    assert frames[:40] == pytest.approx([number * FRAME_S for number in range(40)], abs=FRAME_S)
    assert frames[40:] == pytest.approx([13.6 + number * FRAME_S for number in range(len(frames) - 40)], abs=FRAME_S)


@pytest.mark.parametrize("name", ["slides", "slides-2"])
def test_a_picture_every_10_s(replayed: Replayed, name: str) -> None:
    assert replayed.frames(name) == pytest.approx([0, 10, 20, 30], abs=FRAME_S)
    speech = replayed.speech(name)
    assert len(speech) >= 44  # of 47 windows, a slide that follows at once takes the newest
    assert speech[0][0] == pytest.approx(0.83, abs=0.07)
    assert speech[-1][1] == pytest.approx(35.5, abs=0.07)


@pytest.mark.parametrize(("name", "last"), [("vshort40", 3.2), ("still20", 0.0), ("x264", 3.2)])
def test_frames_that_the_decoder_held(replayed: Replayed, name: str, last: float) -> None:
    frames = replayed.frames(name)
    assert frames == pytest.approx([number * FRAME_S for number in range(len(frames))], abs=0.001)
    assert frames[-1] == pytest.approx(last, abs=0.001)
    assert {face["id"] for result in replayed.by_name[name] for face in result["faces"]} == {0}


def test_a_second_recording_follows_the_first(replayed: Replayed) -> None:
    frames = replayed.frames("join_back")
    assert len(frames) == 162
    assert max(b - a for a, b in pairwise(frames)) < 3 * FRAME_S
    told = [warning for warning in replayed.warnings if "join_back.ts" in warning.text]
    assert ["its clock starts anew" in warning.text for warning in told] == [True]


def test_nothing_is_damaged(replayed: Replayed) -> None:
    assert [warning.text for warning in replayed.warnings if warning.damage] == []


@pytest.mark.parametrize("name", ["exif2", "exif5", "still"])
def test_pictures_are_seen_upright(replayed: Replayed, name: str) -> None:
    assert replayed.boxes(name) == [pytest.approx([0.34, 0.27, 0.27, 0.48], abs=0.03)]


def test_frames_have_the_shape_of_their_own_pixels(replayed: Replayed) -> None:
    """The detector's boxes are square: their sides say of what shape a frame was."""
    shapes = [height / width for _, _, width, height in replayed.boxes("sarchange")]
    assert shapes[:40] == pytest.approx([16 / 9] * 40, rel=0.05)
    assert shapes[40:] == pytest.approx([4 / 3] * 41, rel=0.05)


def test_tiles_are_joined(replayed: Replayed) -> None:
    assert replayed.boxes("grid") == [pytest.approx([0.3344, 0.2722, 0.2688, 0.4778], abs=0.02)]
