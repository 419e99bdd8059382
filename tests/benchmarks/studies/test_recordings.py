"""The report on recordings of known emotion: names, and what becomes of results."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks.studies.recordings import distributions, emotion_of, recordings, rows, summarise
from emopipe.pipeline.errors import DataError
from tests.support.factories import distribution, make_emotions


@pytest.mark.parametrize(
    ("name", "emotion"),
    [
        ("01-01-08-02-02-02-01.mp4", "surprise"),
        ("02-01-02-01-01-01-24.mp4", "neutral"),  # calm
        ("01-01-06-01-01-01-01.mkv", "fear"),
        ("1001_DFA_ANG_XX.flv", "angry"),
        ("1091_WSI_SAD_LO.flv", "sad"),
        ("1001_DFA_ANX_XX.flv", None),
        ("holiday.mp4", None),
    ],
)
def test_a_name_tells_the_emotion(name: str, emotion: str | None) -> None:
    assert emotion_of(Path(name)) == emotion


def test_folders_are_searched_and_others_left_out(tmp_path: Path) -> None:
    for name in ("b/01-01-03-01-01-01-01.mp4", "a/1001_DFA_HAP_XX.flv", "a/notes.txt", "a/other.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [file.stem for file in recordings([tmp_path])] == ["1001_DFA_HAP_XX", "01-01-03-01-01-01-01"]
    with pytest.raises(DataError, match=r"other\.mp4: no recording whose name tells its emotion"):
        recordings([tmp_path / "a" / "other.mp4"])


def results(stream: str, *shown: tuple[dict[int, str], str | None]) -> list[dict[str, Any]]:
    return [{"stream": stream, **msgspec.to_builtins(make_emotions(faces, voice))} for faces, voice in shown]


def test_a_window_that_many_frames_heard_counts_once() -> None:
    said = distributions(results("clip", ({1: "happy"}, "sad"), ({1: "sad"}, "sad"), ({}, None)))
    assert [len(said[part]) for part in ("face", "voice", "fused")] == [2, 1, 2]


def test_each_part_is_told_apart() -> None:
    said = results("01-01-03-01-01-01-01", ({1: "happy"}, "sad"), ({1: "happy"}, "sad"), ({1: "fear"}, "sad"))
    ((clip, truth, parts),) = rows([Path("01-01-03-01-01-01-01.mp4")], said)
    assert (clip, truth) == ("01-01-03-01-01-01-01", "happy")
    face, voice = parts["face"], parts["voice"]
    assert face is not None
    assert voice is not None
    assert (face.n, face.label, voice.n, voice.label, voice.right) == (3, "happy", 1, "sad", 0.0)
    assert face.right == pytest.approx(2 / 3)
    assert face.truth == face.confidence == pytest.approx((0.7 + 0.7 + 0.05) / 3)


def test_nothing_said_is_nothing() -> None:
    assert summarise([], "happy") is None
    found = summarise([distribution("happy")], "sad")
    assert found is not None
    assert (found.right, found.label) == (0.0, "happy")
    assert found.truth == pytest.approx(0.05)
