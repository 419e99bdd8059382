"""Files are replaced whole or not at all."""

from pathlib import Path

import pytest

from emopipe.pipeline.files import replacing


def test_the_new_file_takes_the_old_ones_place(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")
    with replacing(tmp_path / "a") as file:
        file.write_text("new")
        assert (tmp_path / "a").read_text() == "old"
    assert [each.read_text() for each in tmp_path.iterdir()] == ["new"]


def test_an_error_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old")

    def write_half() -> None:
        with replacing(tmp_path / "a") as file:
            file.write_text("half")
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        write_half()
    assert [each.read_text() for each in tmp_path.iterdir()] == ["old"]
