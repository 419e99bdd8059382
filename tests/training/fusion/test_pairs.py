"""Recordings of which both a face and a voice are there."""

from pathlib import Path

import numpy as np
import pytest

from emopipe.models.labels import FACE
from emopipe.pipeline.errors import DataError
from emopipe.training.fusion import pairs
from emopipe.training.fusion.pairs import Pairs
from emopipe.training.speech.ravdess import speaker
from tests.support.pairs import faces, table

ACTORS = (1, 2)
EVEN: dict[str, object] = {"clip": ["01-01-03-01-01-01-01"], "frame": [26], **{label: [1 / 7] for label in FACE}}


def test_sound_and_face_of_one_recording_are_put_together(found: Pairs) -> None:
    names = sorted((pair.name.speaker, pair.name.label + 1) for pair in found.pairs)
    assert names == [(speaker(actor), emotion) for actor in ACTORS for emotion in (1, 3, 5)]
    assert found.actors == [speaker(1), speaker(2)]
    assert found.notes == ["6 recordings have both a face and a voice.", "3 clips have a face only and were left out."]
    happy = next(pair for pair in found.pairs if pair.name.label == 2)
    assert FACE[int(happy.face.probabilities.mean(0).argmax())] == "happy"
    assert happy.face.times[0] == pytest.approx(25 / 30)
    assert happy.face.probabilities.sum(1) == pytest.approx(np.ones(29))


def test_faces_of_another_table_take_their_place(found: Pairs, tmp_path: Path) -> None:
    others = pairs.with_faces(found, faces(tmp_path / "faces.parquet", (*ACTORS, 7), share=0.9))
    assert [pair.clip for pair in others] == [pair.clip for pair in found.pairs]
    assert others[0].face.probabilities.max() > found.pairs[0].face.probabilities.max()
    with pytest.raises(DataError, match=r"3 of 6 recordings are not in it, such as 03-01-01-01-01-01-02"):
        pairs.with_faces(found, faces(tmp_path / "faces.parquet", (1,)))


def test_rows_that_are_no_distributions_are_left_out_and_counted(tmp_path: Path) -> None:
    columns: dict[str, list[object]] = {
        "clip": [*["01-01-03-01-01-01-01"] * 5, "my-face", "01-02-03-01-01-01-01"],
        "frame": [28, 26, 27, 29, 30, 26, 26],  # in no order
        **{label: [1 / 7] * 7 for label in FACE},
    }
    columns["happy"][3] = float("nan")
    columns["happy"][4] = 3.0
    courses, dropped = pairs.read_faces(table(tmp_path / "faces.parquet", columns))
    (course,) = courses.values()
    assert course.times == pytest.approx([25 / 30, 26 / 30, 27 / 30])
    assert dropped == 4


def test_what_is_missing_or_damaged_is_named(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.parquet: no such file; expected a Parquet file with the columns clip"):
        pairs.read_faces(tmp_path / "gone.parquet")
    (tmp_path / "half.parquet").write_bytes((folder / "faces.parquet").read_bytes()[:5000])
    with pytest.raises(DataError, match="not a whole Parquet file"):
        pairs.read_faces(tmp_path / "half.parquet")
    lacking = {name: values for name, values in EVEN.items() if name != "sad"}
    with pytest.raises(DataError, match="no column sad"):
        pairs.read_faces(table(tmp_path / "lacking.parquet", lacking))  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"no clip of RAVDESS speech in its 1 rows"):
        pairs.read_faces(table(tmp_path / "others.parquet", EVEN | {"clip": ["holiday"]}))  # type: ignore[arg-type]
    other = table(tmp_path / "other.parquet", EVEN | {"clip": ["01-01-03-01-01-01-24"]})  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"none of its 1 clips has its sound in"):
        pairs.read(folder / "data", other)
