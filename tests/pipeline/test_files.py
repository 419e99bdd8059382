"""Files are replaced whole or not at all; a journal keeps what was set."""

from pathlib import Path

import pytest

from emopipe.pipeline.errors import StageFailed
from emopipe.pipeline.files import Journal, replacing


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


def test_a_journal_outlasts_its_writer(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.set("a", 1)
    journal.set("b c", {"x": [1, None]}, durable=True)
    journal.set("a", 2)
    again = Journal(tmp_path / "journal")  # the writer has not closed it
    assert (again.get("a"), again.get("b c"), again.get("c", 7)) == (2, {"x": [1, None]}, 7)
    assert again.starting("b ") == {"c": {"x": [1, None]}}


def test_a_line_that_was_cut_short_counts_as_not_written(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "journal")
    journal.set("a", 1)
    journal.set("a", 2)
    with (tmp_path / "journal").open("rb+") as file:
        file.truncate(file.seek(0, 2) - 1)
    again = Journal(tmp_path / "journal")
    assert again.get("a") == 1
    again.set("b", 3)
    assert Journal(tmp_path / "journal").starting("") == {"a": 1, "b": 3}


def test_a_journal_stays_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.pipeline.files.MAX_JOURNAL_BYTES", 1000)
    journal = Journal(tmp_path / "journal")
    for number in range(1000):
        journal.set("a", number)
    assert (tmp_path / "journal").stat().st_size < 1100
    assert Journal(tmp_path / "journal").get("a") == 999


def test_a_journal_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match=r"missing/journal cannot be written: No such file or directory; free some"):
        Journal(tmp_path / "missing" / "journal").set("a", 1)


def test_a_journal_without_a_file_holds_values_all_the_same() -> None:
    journal = Journal()
    journal.set("a", 1)
    assert journal.get("a") == 1
