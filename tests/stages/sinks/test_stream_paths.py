"""Which file a stream gets."""

from pathlib import Path

from emopipe.stages.sinks.stream_paths import OutputPaths, path_problems


def test_a_file_for_each_stream(tmp_path: Path) -> None:
    paths = OutputPaths(str(tmp_path / "film-{stream}.mp4"))
    assert paths.take("a") == tmp_path / "film-a.mp4"
    assert paths.take("../b") == tmp_path / "film-.._b.mp4"
    assert paths.take("a") == tmp_path / "film-a-2.mp4"


def test_what_a_stream_names_replaces_nothing(tmp_path: Path) -> None:
    """A file may be an input of this run, or of an earlier one; whoever calls by WHIP chooses the stream's name."""
    (tmp_path / "film-t.mp4").write_bytes(b"a recording")
    (tmp_path / "film-t-2.mp4").hardlink_to(tmp_path / "film-t.mp4")
    (tmp_path / "film-u.mp4").symlink_to(tmp_path / "elsewhere")
    paths = OutputPaths(str(tmp_path / "film-{stream}.mp4"))
    assert paths.take("t") == tmp_path / "film-t-3.mp4"
    assert paths.take("u") == tmp_path / "film-u-2.mp4"


def test_a_file_that_the_user_named_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "film.mp4").write_bytes(b"of yesterday")
    (tmp_path / "film-2.mp4").write_bytes(b"another")
    paths = OutputPaths(str(tmp_path / "film.mp4"))
    assert paths.take("a") == tmp_path / "film.mp4"
    assert paths.take("b") is None
    assert paths.take("a") == tmp_path / "film-3.mp4"


def test_paths_that_cannot_be(tmp_path: Path) -> None:
    assert path_problems(str(tmp_path / "film-{stream}.mp4"), ".mp4") in (None, "")
    assert "expected a name that ends in .mp4" in (path_problems(str(tmp_path / "film.avi"), ".mp4") or "")
    assert "ends in .srt or .vtt, such as" in (path_problems(str(tmp_path / "film.avi"), ".srt", ".vtt") or "")
