"""The pictures of recordings: upright, of any size, as large as asked for."""

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from emopipe.stages.types import VideoFrame
from tests.support.media import corner, every, make
from tests.support.recording_items import pictures, read


@pytest.mark.parametrize(
    ("turn", "mirror", "bright"),
    [
        (0, False, (0, 0)),
        (90, False, (1, 0)),
        (180, False, (1, 1)),
        (270, False, (0, 1)),
        (0, True, (0, 1)),
        (180, True, (1, 0)),
    ],
)
def test_pictures_are_upright(tmp_path: Path, turn: int, mirror: bool, bright: tuple[int, int]) -> None:
    path = make(tmp_path / "a.mp4", pictures=every(25, 0.2), draw=lambda _: corner(), turn=turn, mirror=mirror)
    frame = pictures(read(path)[0])[0].payload
    assert frame.luma.shape == ((160, 96) if turn in (90, 270) else (96, 160))
    assert frame.small.shape == (*frame.luma.shape, 3)
    for image in (frame.luma, frame.small[..., 1]):
        height, width = image.shape
        quarters = {
            (y, x): image[y * height // 2 :, x * width // 2 :][: height // 2, : width // 2].mean()
            for y in (0, 1)
            for x in (0, 1)
        }
        assert max(quarters, key=lambda where: quarters[where]) == bright


def test_odd_sizes(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.mkv", pictures=every(25, 0.2), draw=lambda _: corner(321, 179), video="ffv1", pix_fmt="yuv420p"
    )
    frame = pictures(read(path)[0])[0].payload
    assert frame.luma.shape == (179, 321)
    assert frame.small.shape == (178, 320, 3)
    assert frame.luma[:50, :100].min() > 200
    assert frame.luma[70:, 120:].max() < 60


def test_lines_stored_from_the_bottom_up(tmp_path: Path) -> None:
    path = make(
        tmp_path / "a.avi",
        pictures=[0],
        draw=lambda _: corner(162, 96),
        video="rawvideo",
        pix_fmt="bgr24",
        base=Fraction(1, 25),
    )
    data = bytearray(path.read_bytes())
    height = data.index(b"strf") + 16  # of BITMAPINFOHEADER: below 0 from the top down, as FFmpeg writes it
    assert struct.unpack_from("<i", data, height) == (-96,)
    struct.pack_into("<i", data, height, 96)
    path.write_bytes(data)
    frame = pictures(read(path)[0])[0].payload
    for image in (frame.luma, frame.small):
        assert image[70:, :50].min() > 200
        assert image[:60].max() < 60


def test_only_as_large_as_asked_for(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", pictures=[0], draw=lambda _: corner(1600, 800), video="mjpeg", pix_fmt="yuvj420p")
    frame = pictures(read(path)[0])[0].payload
    assert (frame.luma.shape, frame.small.shape) == ((640, 1280), (160, 320, 3))
    frame = pictures(read(path, luma_size=1600, small_size=200)[0])[0].payload
    assert (frame.luma.shape, frame.small.shape) == ((800, 1600), (100, 200, 3))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_turned_and_mirrored_as_its_exif_says(tmp_path: Path, orientation: int) -> None:
    from PIL import Image, ImageOps

    stored = Image.fromarray(corner(160, 96))
    exif = stored.getexif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.jpg", exif=exif, quality=95)
    upright = ImageOps.exif_transpose(Image.open(tmp_path / "a.jpg"))
    assert upright is not None
    (item,) = pictures(read(tmp_path / "a.jpg")[0])
    assert isinstance(item.payload, VideoFrame)
    expected = np.asarray(upright.convert("L")).astype(int)
    assert item.payload.luma.shape == expected.shape
    assert np.abs(item.payload.luma - expected).mean() < 2
    assert item.payload.small.shape == (*expected.shape, 3)
    assert np.abs(item.payload.small[..., 1] - expected).mean() < 3
