"""Tables of labelled files: what they name, by which row, and what is refused."""

from pathlib import Path

import pytest

from emopipe.__main__ import main
from emopipe.fine_tuning.data import is_own_faces, is_own_voices, read
from emopipe.pipeline.errors import DataError

pa = pytest.importorskip("pyarrow")

ENDINGS = (".png",)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("a/1.png", "a/2.png", "3.png", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "twin.png").write_text("3.png")
    return tmp_path


def table(folder: Path, text: str) -> Path:
    (folder / "mine.csv").write_text(text)
    return folder / "mine.csv"


def test_rows_name_files_labels_and_people_in_any_order_of_columns(folder: Path) -> None:
    text = (
        "\ufefflabel,person, path\ncross,anna,a/1.png\ncontent,anna,a\\2.png\n\n calm day ,ben,3.png\nx,ben,note.txt\n"
    )
    found = read(table(folder, text), ENDINGS)
    names = [(each.path.name, each.label, each.person) for each in found.files]
    assert names == [("3.png", "calm day", "ben"), ("1.png", "cross", "anna"), ("2.png", "content", "anna")]
    assert found.labels == ("calm day", "content", "cross")
    assert found.left_out == {".txt: not read here": 1}


def test_people_may_be_unknown_and_what_is_named_or_there_twice_counts_once(folder: Path) -> None:
    text = "path,label\na/1.png,a\na/1.png,a\n3.png,b\ntwin.png,b\n"
    found = read(table(folder, text), ENDINGS)
    assert [(each.label, each.person) for each in found.files] == [("b", ""), ("a", "")]
    assert found.left_out == {"named twice": 1, "a copy of another file": 1}


def test_parquet_says_the_same_as_csv(folder: Path) -> None:
    import pyarrow.parquet as pq

    columns = {"path": ["a/1.png", "3.png"], "label": [1, 2], "person": ["anna", "ben"]}
    pq.write_table(pa.table(columns), folder / "mine.parquet")
    rows = "path,label,person\na/1.png,1,anna\n3.png,2,ben\n"
    of_parquet, of_csv = (read(path, ENDINGS) for path in (folder / "mine.parquet", table(folder, rows)))
    assert [each[:3] for each in of_parquet.files] == [each[:3] for each in of_csv.files]
    assert of_parquet.labels == of_csv.labels == ("1", "2")
    pq.write_table(pa.table(columns | {"path": ["a/1.png", None]}), folder / "mine.parquet")
    with pytest.raises(DataError, match="row 2: no path"):
        read(folder / "mine.parquet", ENDINGS)
    (folder / "mine.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="no Parquet file"):
        read(folder / "mine.parquet", ENDINGS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", 'no column "path" and "label" (found: nothing)'),
        ("path;label\n", 'no column "path" and "label" (found: path;label)'),
        ("path,label,persn\n", 'unknown column "persn"; did you mean "person"?'),
        ("path,path,label\n", 'the column "path" is there twice'),
        ("path,label\n", "no row; a row names a file"),
        ("path,label\na/1.png,a\n9.png,b\n", 'line 3: there is no file "9.png"; paths begin at'),
        ("path,label\na,a\n", 'line 2: there is no file "a"'),
        ("path,label\n,a\n", "line 2: no path"),
        ("path,label\na/1.png, \n", 'line 2: no label for "a/1.png"'),
        ("path,label\na/1.png,a,b\n", "line 2: 3 fields, but 2 columns"),
        ("path,label,person\na/1.png,a,anna\n3.png,b,\n", 'line 3: no person for "3.png", but other rows name one'),
        ("path,label\na/1.png,a\n./a/1.png,b\n", 'line 3: "./a/1.png" is "a" in line 2, and "b" here'),
        (
            "path,label,person\n3.png,b,x\na/1.png,a,x\na/1.png,a,y\n",
            'line 4: "a/1.png" is "a" of x in line 3, and "a" of y here',
        ),
        ("path,label\n3.png,a\ntwin.png,b\n", "twin.png (line 3) is the same file as 3.png (line 2), in another class"),
        ("path,label\na/1.png,a\n3.png,a\n", '"a" is the only class'),
        ("path,label\na/1.png,a\n3.png,A\n", "differ by case or spaces"),
        ("path,label\nnote.txt,a\n", "it names no file that can be read"),
        ('path,label\n"a/1.png"x,a\n', "no CSV file"),
    ],
)
def test_what_is_wrong_in_a_table_is_named_with_its_row(
    folder: Path, capfd: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    path = table(folder, text)
    with pytest.raises(DataError) as raised:
        read(path, ENDINGS)
    assert str(raised.value).startswith(f"{path}: ")
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert main(["train", "facial", "--data", str(path), "--out", str(folder / "x.safetensors")]) == 2
    error = capfd.readouterr().err
    assert "Traceback" not in error
    assert not (folder / "x.safetensors").exists()


def test_a_list_of_people_beside_a_table_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="in a column person; leave the list out"):
        read(table(folder, "path,label\na/1.png,a\n3.png,b\n"), ENDINGS, folder / "people.csv")


def test_which_tables_are_ones_own(folder: Path) -> None:
    assert is_own_faces(table(folder, "path,label\n"))
    assert is_own_voices(folder / "mine.csv")
    assert is_own_faces(table(folder, "emotion,path\n"))
    assert not is_own_faces(table(folder, "emotion, pixels, Usage\n"))
    assert is_own_voices(folder / "mine.parquet") is is_own_faces(folder / "mine.parquet") is False
