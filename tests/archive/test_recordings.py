"""Which recordings an archive is of, and where their results go."""

from pathlib import Path

import pytest

from emopipe.archive.recordings import find_recordings, result_name
from emopipe.pipeline.errors import EmopipeError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def test_those_of_all_folders_whatever_the_case_of_their_names(tmp_path: Path) -> None:
    touch(tmp_path, "b/x.MP4", "a/x.mp4", "a/deep/er/y.wav", "notes.txt", "a/.hidden.mkv", "noending")
    found = find_recordings(tmp_path, tmp_path / "out")
    assert found.names == ["a/.hidden.mkv", "a/deep/er/y.wav", "a/x.mp4", "b/x.MP4"]
    assert found.left_out == ['2 files left out, no recordings by their names: ".txt" and "without an ending"']
    assert found.path("a/x.mp4").read_text() == "a/x.mp4"


def test_results_in_the_folder_itself_are_no_recordings(tmp_path: Path) -> None:
    touch(tmp_path, "x.mp4", "out/film.mp4")
    assert find_recordings(tmp_path, tmp_path / "sub/../out").names == ["x.mp4"]


def test_links_are_taken_once_and_folders_that_are_links_not_entered(tmp_path: Path) -> None:
    touch(tmp_path, "in/z.mp4", "elsewhere/far.mp4")
    (tmp_path / "in/a.mp4").symlink_to("z.mp4")
    (tmp_path / "in/far.mp4").symlink_to(tmp_path / "elsewhere/far.mp4")
    (tmp_path / "in/round").symlink_to(tmp_path / "in")
    found = find_recordings(tmp_path / "in", tmp_path / "out")
    assert found.names == ["far.mp4", "z.mp4"]
    assert found.left_out == ["1 recording left out, there already by another name or line"]


def test_a_list_names_any_file_from_its_own_folder_on(tmp_path: Path) -> None:
    touch(tmp_path, "lists/near.dat", "far.mp4")
    (tmp_path / "lists/names").write_text("near.dat\n../far.mp4\n  \n# far.mkv\n./near.dat\n")
    found = find_recordings(tmp_path / "lists/names", tmp_path / "out")
    assert found.names == [str(tmp_path / "far.mp4"), "near.dat"]
    assert found.path(str(tmp_path / "far.mp4")) == tmp_path / "far.mp4"
    assert found.left_out == ["1 recording left out, there already by another name or line"]


def test_results_are_named_after_the_whole_name() -> None:
    assert result_name("a/x.mp4") == "a/x.mp4.parquet"
    assert result_name("/data/x.wav") == "data/x.wav.parquet"


def test_two_recordings_never_share_a_file(tmp_path: Path) -> None:
    touch(tmp_path, "far.mp4")
    lists = tmp_path / "lists"
    near = str(tmp_path / "far.mp4")[1:]  # below the folder of the list as the other is below the root
    touch(lists, near)
    (lists / "names").write_text(f"../far.mp4\n{near}\n")
    with pytest.raises(
        EmopipeError, match=r"two recordings would go to .*far\.mp4\.parquet; archive them to different"
    ):
        find_recordings(lists / "names", tmp_path / "out")
