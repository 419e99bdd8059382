from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from emopipe.pipeline.errors import DataError
from emopipe.training.facial import ferplus

HEADER = "neutral,happiness,surprise,sadness,anger,disgust,fear,contempt,unknown,NF"
ROWS = {
    "PublicTest_1.jpg": "8,0,0,2,0,0,0,0,0,0",
    "PublicTest_2.jpg": "3,0,0,0,0,0,0,7,0,0",
    "PublicTest_3.jpg": "5,5,0,0,0,0,0,0,0,0",
    "PublicTest_4.jpg": "0,0,0,0,0,0,2,0,0,8",
}
NAMES = (*ROWS, "PublicTest_5.jpg")


def write(path: Path) -> Path:
    path.write_text("\n".join([f"name,{HEADER}", *(f"{name},{row}" for name, row in ROWS.items())]))
    return path


def test_votes_are_found_by_name(tmp_path: Path) -> None:
    votes = ferplus.load(write(tmp_path / "votes.csv"), NAMES)
    assert votes.counts.shape == (5, 10)
    assert votes.clear.tolist() == [True, False, False, False, False], "contempt is no class of ours, 5 are not 6"
    np.testing.assert_allclose(votes.shares[0], [0, 0, 0, 0, 0.2, 0, 0.8])
    np.testing.assert_allclose(votes.weights, [1, 0.3, 1, 0, 0], err_msg="no face, and no votes")


def test_parquet_and_the_original_csv_say_the_same(tmp_path: Path) -> None:
    expected = ferplus.load(write(tmp_path / "votes.csv"), NAMES[:4]).counts
    columns = dict(
        zip(HEADER.split(","), zip(*(map(int, row.split(",")) for row in ROWS.values()), strict=True), strict=True)
    )
    pyarrow.parquet.write_table(pyarrow.table({"name": list(ROWS), **columns}), tmp_path / "votes.parquet")
    np.testing.assert_array_equal(ferplus.load(tmp_path / "votes.parquet", NAMES[:4]).counts, expected)
    original = tmp_path / "fer2013new.csv"
    lines = [f"PublicTest,fer{index:07}.png,{row}" for index, row in enumerate(ROWS.values())]
    original.write_text("\n".join([f"Usage,Image name,{HEADER}", *lines]))
    lined = ferplus.load(original, tuple(f"line {number}" for number in (2, 3, 4, 5)))
    np.testing.assert_array_equal(lined.counts, expected)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a,b\n1,2", "no column anger, disgust"),
        (f"name,{HEADER}\nx.jpg,1,0,0,0,0,0,0,0,0,0", "its votes fit none of the 5 images: it speaks of x.jpg"),
        (f"name,{HEADER}\nx.jpg,many,0,0,0,0,0,0,0,0,0", "x.jpg: a count of votes is no whole number"),
        (f"name,{HEADER}\nx.jpg,-1,0,0,0,0,0,0,0,0,0", "x.jpg: a count of votes is below 0"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "votes.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=said):
        ferplus.load(path, NAMES)
    with pytest.raises(DataError, match="no such file; give FER"):
        ferplus.load(tmp_path / "nowhere.csv", NAMES)
    (tmp_path / "votes.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        ferplus.load(tmp_path / "votes.parquet", NAMES)
