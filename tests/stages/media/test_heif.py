"""Photos of tiles."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest

from emopipe.pipeline.errors import MediaError
from emopipe.stages.media.heif import Grid, read_grid
from emopipe.stages.media.recording import Recording
from emopipe.stages.types import VideoFrame
from tests.support.media import every, make


def tiles(count: int, size: int = 4) -> dict[int, np.ndarray]:
    """Tiles of one grey each, their number."""
    return {number: np.full((size, size, 3), number, np.uint8) for number in range(1, count + 1)}


def grid(rows: int, columns: int, width: int, height: int, *turns: tuple[str, int]) -> Grid:
    return Grid(rows, columns, width, height, list(range(1, rows * columns + 1)), list(turns))


def test_tiles_are_joined_row_by_row_and_cut() -> None:
    picture = grid(2, 3, 10, 7).join(tiles(6))
    assert picture.shape == (7, 10, 3)
    assert picture[::4, ::4, 0].tolist() == [[1, 2, 3], [4, 5, 6]]


@pytest.mark.parametrize(
    ("turns", "corners"),
    [
        ([("rotate", 1)], [[2, 4], [1, 3]]),
        ([("flip", 0)], [[3, 4], [1, 2]]),
        ([("flip", 1)], [[2, 1], [4, 3]]),
        ([("rotate", 2), ("flip", 1)], [[3, 4], [1, 2]]),
    ],
)
def test_the_picture_is_turned_as_its_file_says(turns: list[tuple[str, int]], corners: list[list[int]]) -> None:
    assert grid(2, 2, 8, 8, *turns).join(tiles(4))[::4, ::4, 0].tolist() == corners


def test_tiles_that_do_not_fit() -> None:
    with pytest.raises(ValueError, match="2 of its 6 tiles are missing"):
        grid(2, 3, 10, 7).join(tiles(4))
    with pytest.raises(ValueError, match="do not fill it"):
        grid(2, 3, 13, 7).join(tiles(6))
    with pytest.raises(ValueError, match="differ in size"):
        grid(1, 2, 8, 4).join({**tiles(1), 2: np.zeros((2, 2, 3), np.uint8)})


def test_other_files_have_no_grid(tmp_path: Path) -> None:
    assert read_grid(make(tmp_path / "a.mp4", pictures=every(25, 0.2))) is None
    (tmp_path / "a").write_bytes(b"x")
    assert read_grid(tmp_path / "a") is None


def test_a_photo_as_phones_store_it(shared_cases: Path) -> None:
    assert read_grid(shared_cases / "grid.heic") == Grid(3, 4, 1920, 1080, list(range(1, 13)), [])
    with Recording(shared_cases / "grid.heic", luma_size=1920) as recording:
        (item,) = recording
    with av.open(str(shared_cases / "big.png")) as container:
        expected = next(container.decode(video=0)).to_ndarray(format="gray")
    assert isinstance(item.payload, VideoFrame)
    assert item.payload.luma.shape == (1080, 1920)
    assert np.abs(item.payload.luma.astype(int) - expected).mean() < 4
    assert recording.damage == []


@pytest.mark.parametrize("kept", [0.02, 0.5])
def test_a_damaged_photo_is_said_to_be(shared_cases: Path, tmp_path: Path, kept: float) -> None:
    data = (shared_cases / "grid.heic").read_bytes()
    path = tmp_path / "cut.heic"
    path.write_bytes(data[: round(len(data) * kept)])
    with pytest.raises(MediaError, match=r"cut\.heic"), Recording(path) as recording:
        list(recording)


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


@pytest.mark.parametrize(
    "boxes",
    [
        struct.pack(">I4s", 1, b"mdat"),  # a large box that ends before its size
        box(
            b"meta",
            bytes(4)
            + box(b"pitm", bytes(4) + b"\0\1")
            + box(b"iinf", bytes(4) + b"\0\1" + box(b"infe", b"\2\0\0\0\0\1\0\0grid"))
            + box(b"iref", bytes(4) + box(b"dimg", struct.pack(">HHH", 1, 1, 2)))
            + box(b"iloc", b"\2\0\0\0\x44\0" + struct.pack(">I", 0xFFFFFFFF)),  # four thousand million parts
        ),
    ],
)
def test_boxes_that_claim_more_than_there_is(tmp_path: Path, boxes: bytes) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(box(b"ftyp", b"heic" + bytes(4) + b"mif1heic") + boxes)
    with pytest.raises(MediaError, match=r"a\.heic: what joins its tiles is damaged \(.+\); copy it again"):
        read_grid(path)
