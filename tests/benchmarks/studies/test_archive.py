"""The study of archives, in short."""

import json
from pathlib import Path

import pytest

from benchmarks.studies import archive


@pytest.mark.slow("real media and models, in seven processes")
def test_three_archives_one_of_them_killed_are_the_same(shared_media: Path, tmp_path: Path) -> None:
    clips = [shared_media / "faces/single_face.mp4", shared_media / "crema-d/1001_DFA_ANG_XX.flv"]
    said = tmp_path / "said.json"
    options = ["--recordings", "4", "--longest", "2", "--jobs", "2", "--json", str(said)]
    assert archive.main([*map(str, clips), *options]) == 0
    figures = json.loads(said.read_text())
    assert figures["same"]
    assert figures["played_again"] == 0
    assert figures["several"]["cpu"] > 0


def test_growth_compares_late_with_early() -> None:
    assert archive.Run(1.0, 1.0, [1, 5, 5, 6, 6, 6, 9, 8]).growth == 3
    assert archive.Run(1.0, 1.0, [1, 2]).growth == 0
