"""A replay that also measures faces, by the real models."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.media import every, make
from tests.support.verbs import verb

pytestmark = pytest.mark.slow("two replays with real models")


def results(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_replay_measures_a_face_and_changes_nothing_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    skimage = pytest.importorskip("skimage", reason="the face is scikit-image's: install emopipe[demo]")

    def draw(number: int) -> NDArray[np.uint8]:
        picture: NDArray[np.uint8] = np.ascontiguousarray(
            skimage.data.astronaut()[:288, 32 + 2 * number : 416 + 2 * number]
        )
        return picture

    clip = make(tmp_path / "clip.mp4", pictures=every(10, 1.0), draw=draw)
    plain, measured, table = (tmp_path / name for name in ("plain.jsonl", "measured.jsonl", "openface.csv"))
    assert verb("replay", str(clip), "--one-process", "--out", str(plain)) == 0
    named = ["--out", str(measured), "--out", str(table), "--set", "stages.out1.columns=openface"]
    assert verb("replay", str(clip), "--one-process", "--geometry", *named) == 0
    capfd.readouterr()
    found = results(measured)
    geometry = [face.pop("geometry") for result in found for face in result["faces"]]
    assert found == results(plain)
    assert len(geometry) == 10
    for each in geometry:
        assert each["smile"] > 0.5
        assert abs(each["yaw"]) < 15
        assert not each["uncertain"]
    head, *lines = table.read_text().splitlines()
    assert head == "timestamp,face_id,success,gaze_angle_x,gaze_angle_y,pose_Rx,pose_Ry,pose_Rz,stream"
    assert [line.split(",")[2] for line in lines] == ["1"] * 10
