"""HEIF photos of tiles, as phones store them: the grid item that joins the tiles (ISO/IEC 23008-12, 6.6.2.3).

FFmpeg gives a stream for each tile, under its item's number, and leaves joining them to others.
"""

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.errors import MediaError

BRANDS = (b"mif1", b"heic", b"heix", b"hevc", b"avif")  # of files that may hold pictures
MAX_META_BYTES = 16 << 20  # of the boxes that describe a photo


class Grid(NamedTuple):
    """How tiles make a picture.

    Attributes:
        rows, columns: of tiles.
        width, height: of the picture, in pixels; the tiles may reach beyond it.
        tiles: their items' numbers, row by row.
        turns: what makes it upright, in this order: quarter turns counterclockwise, or an axis to flip.
    """

    rows: int
    columns: int
    width: int
    height: int
    tiles: list[int]
    turns: list[tuple[str, int]]

    def join(self, tiles: Mapping[int, NDArray[np.uint8]]) -> NDArray[np.uint8]:
        """The upright picture [h, w, 3] of its tiles by number, each [h, w, 3].

        Raises:
            ValueError: a tile is missing, or of another size than the first.
        """
        missing = [tile for tile in self.tiles if tile not in tiles]
        if missing:
            raise ValueError(f"{len(missing)} of its {len(self.tiles)} tiles are missing")
        high, wide, _ = tiles[self.tiles[0]].shape
        if high * self.rows < self.height or wide * self.columns < self.width:
            raise ValueError(f"its tiles of {wide} × {high} pixels do not fill it")
        picture = np.empty((self.height, self.width, 3), np.uint8)
        for number, tile in enumerate(self.tiles):
            top, left = number // self.columns * high, number % self.columns * wide
            if tiles[tile].shape != (high, wide, 3):
                raise ValueError("its tiles differ in size")
            region = picture[top : top + high, left : left + wide]
            region[...] = tiles[tile][: region.shape[0], : region.shape[1]]
        for kind, value in self.turns:
            picture = np.rot90(picture, value) if kind == "rotate" else np.flip(picture, value)
        return np.ascontiguousarray(picture)


def read_grid(path: Path) -> Grid | None:
    """The grid that is the main picture of a HEIF file; None if it is none.

    Raises:
        MediaError: what describes it is damaged.
    """
    with path.open("rb") as file:
        head = file.read(12)
        if len(head) < 12 or head[4:8] != b"ftyp":
            return None
        brands = head[8:] + file.read(min(int.from_bytes(head[:4], "big"), 256) - 12)
        if not any(brand in brands for brand in BRANDS):
            return None
        file.seek(0)
        data = file.read(MAX_META_BYTES)
    try:
        meta = _find_meta(data)
        return None if meta is None else _grid(dict(_boxes(meta[4:])), path)
    except (struct.error, IndexError, KeyError) as error:
        raise MediaError(f"{path}: what joins its tiles is damaged ({error}); copy it again") from None


Boxes = dict[bytes, bytes]


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The boxes in `data`, by type; of a type that comes twice each one."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            head = 16
        elif size == 0:
            size = len(data) - at
        if size < head:
            return
        yield kind, data[at + head : at + size]
        at += size


def _find_meta(data: bytes) -> bytes | None:
    return next((body for kind, body in _boxes(data) if kind == b"meta"), None)


def _grid(boxes: Boxes, path: Path) -> Grid | None:
    primary_box, items_box = boxes.get(b"pitm"), boxes.get(b"iinf")
    if primary_box is None or items_box is None:
        return None
    primary = int.from_bytes(primary_box[4 : 8 if primary_box[0] else 6], "big")
    if _item_type(items_box, primary) != b"grid":
        return None
    tiles = _references(boxes[b"iref"], primary)
    data = _item_data(boxes, primary, path)
    _, flags, rows, columns = struct.unpack_from(">BBBB", data)
    width, height = struct.unpack_from(">II" if flags & 1 else ">HH", data, 4)
    rows, columns = rows + 1, columns + 1
    if len(tiles) != rows * columns or not width or not height:
        raise KeyError(f"{len(tiles)} tiles for {columns} × {rows}")
    return Grid(rows, columns, width, height, tiles, list(_turns(boxes.get(b"iprp", b""), primary)))


def _item_type(iinf: bytes, item: int) -> bytes:
    for kind, body in _boxes(iinf[6 if iinf[0] == 0 else 8 :]):
        wide = 4 if body[0] >= 3 else 2
        if kind == b"infe" and body[0] >= 2 and int.from_bytes(body[4 : 4 + wide], "big") == item:
            return body[6 + wide : 10 + wide]
    return b""


def _references(iref: bytes, item: int) -> list[int]:
    """The items that `item` is derived from."""
    form, size = (">H", 2) if iref[0] == 0 else (">I", 4)
    for kind, body in _boxes(iref[4:]):
        if kind == b"dimg" and struct.unpack_from(form, body)[0] == item:
            (count,) = struct.unpack_from(">H", body, size)
            return [struct.unpack_from(form, body, size + 2 + size * number)[0] for number in range(count)]
    raise KeyError("it names no tiles")


def _item_data(boxes: Boxes, item: int, path: Path) -> bytes:
    """The bytes of an item, wherever `iloc` says they are."""
    iloc = boxes[b"iloc"]
    version = iloc[0]
    sizes = [iloc[4] >> 4, iloc[4] & 15, iloc[5] >> 4, iloc[5] & 15 if version else 0]  # offset, length, base, index
    at = 6

    def take(size: int) -> int:
        nonlocal at
        at += size
        if at > len(iloc):
            raise IndexError("it says of more parts than it holds")
        return int.from_bytes(iloc[at - size : at], "big")

    for _ in range(take(4 if version == 2 else 2)):
        number = take(4 if version == 2 else 2)
        method = take(2) & 15 if version else 0
        take(2)  # the file that it lies in: this one
        base = take(sizes[2])
        extents = []
        for _ in range(take(2)):
            take(sizes[3])
            offset, length = take(sizes[0]), take(sizes[1])
            extents.append((base + offset, length))
        if number == item and method == 1:
            return b"".join(boxes[b"idat"][start : start + length] for start, length in extents)
        if number == item:
            with path.open("rb") as file:
                data = b""
                for start, length in extents:
                    file.seek(start)
                    data += file.read(min(length, 64))
                return data
    raise KeyError("it has no data")


def _turns(iprp: bytes, item: int) -> Iterator[tuple[str, int]]:
    """What its properties say of how it is to be shown, in their order."""
    boxes = dict(_boxes(iprp))
    properties = list(_boxes(boxes.get(b"ipco", b"")))
    ipma = boxes.get(b"ipma", bytes(8))
    wide, large = 4 if ipma[0] else 2, ipma[3] & 1
    at = 8
    for _ in range(int.from_bytes(ipma[4:8], "big")):
        number = int.from_bytes(ipma[at : at + wide], "big")
        count = ipma[at + wide]
        at += wide + 1
        for _ in range(count):
            index = int.from_bytes(ipma[at : at + 1 + large], "big") & (0x7FFF if large else 0x7F)
            at += 1 + large
            if number == item and 0 < index <= len(properties):
                kind, body = properties[index - 1]
                if kind == b"irot":
                    yield "rotate", body[0] & 3
                elif kind == b"imir":
                    yield "flip", body[0] & 1
