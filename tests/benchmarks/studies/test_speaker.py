"""The study of whose voice it is: how films are composed and scored; and two of them, of real people."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.studies.recordings import replay
from benchmarks.studies.speaker import Clip, Film, Person, Turn, films, said, score, speaker, write
from emopipe.graphs.ready import default_graph
from emopipe.pipeline.clock import SECOND

CLIP = Clip([0.0, 0.5, 1.0, 1.5], [np.full((8, 8), shade, np.uint8) for shade in range(4)], np.zeros(32000), (0.5, 1.5))
PERSON = Person([CLIP], CLIP, 0.5, 1.5)
FILM = Film("by turns", [PERSON] * 3, [Turn(CLIP, 2), Turn(CLIP, None)])


def told(at: float, *speaking: float, end: float | None = 0.5) -> dict[str, Any]:
    boxes = ([0.1, 0.1, 0.3, 0.3], [0.6, 0.1, 0.3, 0.3], [0.1, 0.6, 0.3, 0.3])
    faces = [{"box": box, "speaking": p} for box, p in zip(boxes, speaking, strict=False)]
    voice = None if end is None else {"end": end * SECOND}
    return {"source": "face", "pts": round(at * SECOND), "faces": faces, "voice": voice}


def test_silence_goes_to_and_fro() -> None:
    assert [int(PERSON.silence(at)[0, 0]) for at in (0.0, 0.6, 1.0, 1.2, 2.1)] == [1, 2, 3, 2, 1]


def test_a_film_knows_who_speaks_when() -> None:
    assert list(FILM.speech()) == [(0.5, 1.5, 2), (2.5, 3.5, None)]


def test_the_voice_is_the_likeliest_ones() -> None:
    assert said(FILM, told(0, 0.1, 0.2, 0.6)) == 2
    assert said(FILM, told(0, 0.1, 0.5, 0.1)) == 1
    assert said(FILM, told(0, 0.1, 0.2, 0.1)) is None


def test_the_score_counts_speaking_time_with_a_voice() -> None:
    results = [
        told(0.2, 0, 0, 0.9),  # nobody speaks
        told(0.6, 0, 0, 0.9, end=None),
        told(0.8, 0, 0, 0.9, end=0.8),
        told(1.2, 0.9, 0, 0, end=1.0),
        told(2.6, 0, 0, 0.9, end=2.4),  # of the window, but not of this moment
        told(3.0, 0, 0, 0, end=3.0),
    ]
    found = score([FILM], [results])
    assert (found.heard, found.now, found.window) == (0.8, 0.5, 0.75)
    assert found.lowest == 0.5


@pytest.mark.slow("replays two films of real people through the graph")
def test_real_voices_go_to_who_speaks(shared_media: Path, tmp_path: Path) -> None:
    people = [
        speaker([shared_media / "ravdess/Actor_01/01-01-08-01-01-02-01.mp4"]),
        speaker([shared_media / "crema-d/1001_DFA_HAP_XX.flv"]),
    ]
    kinds = ("two in view, one speaks", "one in view, another speaks")
    shown = [film for film in films(people, people[:1]) if film.kind in kinds][:2]
    files = [tmp_path / f"film-{place}.mkv" for place in range(2)]
    for film, file in zip(shown, files, strict=True):
        write(film, file)
    results = replay(files, default_graph(), [])
    found = score(shown, [[each for each in results if each["stream"] == file.stem] for file in files])
    assert found.now > 0.8
