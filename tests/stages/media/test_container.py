"""What is opened as a recording, and what is not."""

import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from emopipe.pipeline.errors import MediaError
from emopipe.stages.media.container import MAX_PIXELS, open_recording, stream_names, unreadable
from emopipe.stages.media.damage import FFmpegErrors
from tests.support.media import every, make


def refusal(path: Path) -> str:
    """What is said of a file that is not opened."""
    errors = FFmpegErrors()
    try:
        with pytest.raises(MediaError) as error:
            open_recording(path, errors)
        return str(error.value)
    finally:
        errors.close()


def test_no_such_file(tmp_path: Path) -> None:
    assert "none.mp4: no such file; check the path" in unreadable(tmp_path / "none.mp4")
    (tmp_path / "file").touch()
    assert "no such file" in unreadable(tmp_path / "file" / "below.mp4")


def test_what_has_no_end_is_no_recording(tmp_path: Path) -> None:
    """A pipe would be waited for without a word."""
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "pipe.mp4 is a pipe, but a recording is a file with an end; write it to a file first" in refusal(
        tmp_path / "pipe.mp4"
    )
    with socket.socket(socket.AF_UNIX) as listening:
        path = Path(os.path.relpath(tmp_path / "s.mp4"))
        listening.bind(str(path))
        assert "is a device or a socket" in unreadable(path)
    assert "is a device or a socket" in unreadable("/dev/zero")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{other}\n#EXT-X-ENDLIST\n"),
        ("live.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{other}\n"),
        ("a.ffconcat", "ffconcat version 1.0\nfile {other}\n"),
        ("a.mkv", "ffconcat version 1.0\nfile {other}\n"),
        ("a.sdp", "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"),
    ],
)
def test_a_playlist_reads_no_other_file(tmp_path: Path, name: str, text: str) -> None:
    other = make(tmp_path / "other.ts", pictures=every(25, 1))
    (tmp_path / name).write_text(text.format(other=other.name))
    assert f"{name} is a playlist: it names other files, which are not opened" in refusal(tmp_path / name)


def test_a_drawing_that_may_name_other_files_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.svg"
    path.write_text('<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="file:///x"/></svg>')
    assert "a.svg is of a format that is not read here, since it may name other files; convert it" in refusal(path)


def test_who_gave_no_picture_is_told_what_pictures_are(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"no picture" * 100)
    assert refusal(tmp_path / "a").endswith("a recording to MP4 with H.264 and AAC, a picture to PNG or JPEG")


def test_a_name_that_looks_like_a_pattern_is_a_name(tmp_path: Path) -> None:
    from PIL import Image

    for name, grey in (("f%03d.png", 200), ("f001.png", 10)):
        Image.fromarray(np.full((48, 64), grey, np.uint8)).save(tmp_path / name)
    errors = FFmpegErrors()
    with open_recording(tmp_path / "f%03d.png", errors) as container:
        frame = next(container.decode(video=0))
    errors.close()
    assert int(frame.to_ndarray(format="gray").mean()) == 200
    (tmp_path / "f%03d.png").unlink()
    assert "no such file" in refusal(tmp_path / "f%03d.png")


def gif(side: int) -> bytes:
    """65 bytes that claim a square of `side` pixels."""
    screen = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6)
    return screen + b"," + struct.pack("<HHHHB", 0, 0, side, side, 0) + b"\x02\x02\x4c\x01\x00" + b";"


def png(side: int) -> bytes:
    """The same of another format, that says so in other words."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


@pytest.mark.parametrize(("name", "claim"), [("a.gif", gif), ("a.png", png)])
def test_a_header_that_claims_gigabytes_is_refused(tmp_path: Path, name: str, claim: Callable[[int], bytes]) -> None:
    assert MAX_PIXELS < 60_000**2
    (tmp_path / name).write_bytes(claim(60_000))
    assert f"{name}: by its header its pictures have more than the 134 million pixels that are read" in refusal(
        tmp_path / name
    )


def test_a_recording_of_too_large_frames_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.y4m"
    path.write_bytes(b"YUV4MPEG2 W30000 H30000 F25:1 Ip A1:1 C420jpeg\nFRAME\n" + bytes(1000))
    assert "by its header its pictures have more than the 134 million pixels that are read" in refusal(path)


def test_stream_names_are_stems_made_unique() -> None:
    assert stream_names(["a/x.mp4", "b/x.mov", "x-2.mp4", "y", "c/x.mkv"]) == ["x", "x-2", "x-2-2", "y", "x-3"]
