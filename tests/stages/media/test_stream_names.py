"""A stream is called as its recording is, and no two are called alike."""

from emopipe.stages.media.stream_names import stream_names


def test_stream_names_are_stems_made_unique() -> None:
    assert stream_names(["a/x.mp4", "b/x.mov", "x-2.mp4", "y", "c/x.mkv"]) == ["x", "x-2", "x-2-2", "y", "x-3"]
