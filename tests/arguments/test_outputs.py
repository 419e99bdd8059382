"""Files that a verb is asked to write."""

from pathlib import Path

import pytest

from emopipe.arguments.outputs import need_folder, need_writable, write_json, writing
from emopipe.pipeline.errors import EmopipeError


def test_what_can_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    old = tmp_path / "old.json"
    old.write_text("precious")
    need_writable(old, "--json")
    need_writable(tmp_path / "a" / "new.json", "--json")
    assert old.read_text() == "precious"
    assert list((tmp_path / "a").iterdir()) == []


@pytest.mark.parametrize(
    ("check", "name", "message"),
    [
        (need_writable, "folder", "--out {}: a folder; give the name of a file"),
        (need_writable, "file/x", "--out {}: cannot be written (File exists); choose another place"),
        (need_folder, "file", "--out {}: a file; give the name of a folder"),
    ],
)
def test_what_cannot_be_written_is_named(tmp_path: Path, check: object, name: str, message: str) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    assert callable(check)
    with pytest.raises(EmopipeError) as caught:
        check(tmp_path / name, "--out")
    assert str(caught.value) == message.format(tmp_path / name)


def test_each_piece_is_on_the_disk_once_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "x.jsonl"
    with writing(path, "--json") as write:
        for piece in ("one\n", "two\n"):
            write(piece)
            assert path.read_text().endswith(piece)


def test_a_full_disk_is_an_error_of_the_users() -> None:
    with pytest.raises(EmopipeError, match=r"--json /dev/full: cannot be written \(No space left on device\); choose"):
        write_json(Path("/dev/full"), {}, "--json")


def test_a_link_to_nothing_stays(tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(tmp_path / "later.json")
    need_writable(link, "--json")
    assert link.is_symlink()
