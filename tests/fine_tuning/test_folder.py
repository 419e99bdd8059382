"""Labelled folders: which layouts are taken, and what is refused."""

from pathlib import Path

import pytest

from emopipe.fine_tuning.data import is_own_faces, read
from emopipe.pipeline.errors import DataError

ENDINGS = (".png",)


def write(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def test_classes_and_people_are_folders(tmp_path: Path) -> None:
    found = read(write(tmp_path, "anna/cross/1.png", "ben/content/2.PNG", "ben/note.txt", ".x/y/z.png"), ENDINGS)
    assert [(each.label, each.person) for each in found.files] == [("cross", "anna"), ("content", "ben")]
    assert found.labels == ("content", "cross")
    assert found.left_out == {".txt: not read here": 1}


def test_a_list_says_who_is_who(tmp_path: Path) -> None:
    root = write(tmp_path / "f", "cross/1.png", "content/2.png")
    people = tmp_path / "p.csv"
    people.write_text("file,person\ncross/1.png,anna\ncontent/2.png,ben\n")
    assert {each.person for each in read(root, ENDINGS, people).files} == {"anna", "ben"}
    assert {each.person for each in read(root, ENDINGS).files} == {""}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ([], "no file in it that can be read; expected folder/<class>/<file>"),
        (["a/1.png"], "'a' is the only class|\"a\" is the only class"),
        (["1.png", "a/2.png"], "1.png lies in no class"),
        (["a/1.png", "x/b/2.png"], "has no person's folder, but x/b/2.png has one"),
        (["happy/1.png", "Happy/2.png"], "differ by case or spaces"),
        (["x/a b/1.png", "y/a  b/2.png"], "differ by case or spaces"),
        (["happy/anna/1.png", "sad/ben/2.png"], "persons outside"),
    ],
)
def test_what_is_ambiguous_is_refused(tmp_path: Path, names: list[str], said: str) -> None:
    with pytest.raises(DataError, match=said):
        read(write(tmp_path, *names), ENDINGS)


def test_the_same_picture_in_two_classes_is_refused_and_a_copy_left_out(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "a/copy.png").write_text("a/1.png")
    assert read(tmp_path, ENDINGS).left_out == {"a copy of another file": 1}
    (tmp_path / "b/3.png").write_text("a/1.png")
    with pytest.raises(DataError, match="is the same file as"):
        read(tmp_path, ENDINGS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name,person\n", 'no column "file"'),
        ("file,person\na/1.png,anna\n", "nobody is named for"),
        ("file,person\na/1.png,anna\nb/2.png,\n", "line 3: no person for"),
        ("file,person\na/9.png,anna\n", "has no file"),
        ("file,person\na/1.png,anna\na/1.png,ben\n", "is anna above, and ben here"),
    ],
)
def test_a_wrong_list_of_people_is_named(tmp_path: Path, text: str, said: str) -> None:
    root = write(tmp_path / "f", "a/1.png", "b/2.png")
    people = tmp_path / "p.csv"
    people.write_text(text)
    with pytest.raises(DataError, match=said):
        read(root, ENDINGS, people)


def test_known_corpora_are_no_folders_of_ones_own(tmp_path: Path) -> None:
    assert not is_own_faces(write(tmp_path / "fer", "train/happy/Training_1.jpg"))
    assert not is_own_faces(write(tmp_path / "raf", "train/happy/train_00001_aligned.jpg"))
    assert not is_own_faces(write(tmp_path / "csv", "fer2013.csv"))
    assert not is_own_faces(write(tmp_path / "splits", "test/happy/1.jpg"))
    assert is_own_faces(write(tmp_path / "own", "happy/1.jpg"))
    assert is_own_faces(write(tmp_path / "test", "happy/1.jpg"))
