"""How many far faces each range of `face-detection` finds, and what it costs.

    python -m benchmarks.studies.faces.far_faces --background room.mp4 --faces clips/*.mp4 pictures/*.jpg
    python -m benchmarks.studies.faces.far_faces … --full-range face_detection_full_range_sparse.tflite

Faces that the detector finds in the given recordings and pictures are cut out with what is around them (twice their
width), and pasted into the background at 1280 × 720: one face of 5, 8 and 13 % of the width anywhere, or 9 and 30 faces
on a grid. Each picture is shown for half a second at 30 frames a second. A face counts as found where a detection
overlaps it (intersection over union) by more than 0.3. With `--full-range` MediaPipe's model of that name runs in the
place of ours, on the whole frame.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from emopipe.models.face_detection.detection import FaceDetector
from emopipe.models.face_detection.search import FaceSearch, Range
from emopipe.models.face_detection.tracking import Box, overlap
from emopipe.pipeline.clock import SECOND

RGB = NDArray[np.uint8]

WIDTH, HEIGHT, SMALL_WIDTH = 1280, 720, 320
FRAMES, RATE = 15, 30
SIZES = (0.05, 0.08, 0.13, 0.30)  # a face's width, of the frame's
GRIDS = ((3, 3), (6, 5))
GRID_PICTURES = 4
AROUND, ABOVE = 2.0, 0.6  # the cut-out's side in widths of the face; how far down its middle lies in it
MAX_FACES = 100
MIN_OVERLAP = 0.3


class Composite(NamedTuple):
    """A picture at 1280 × 720, and where the faces in it are."""

    picture: RGB
    faces: list[Box]


def pictures(path: Path, count: int) -> Iterator[RGB]:
    """Every 15th picture of a recording, `count` at most."""
    import av

    with av.open(str(path)) as container:
        frames = islice(container.decode(video=0), 0, None, 15)
        for frame in islice(frames, count):
            yield frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)


def cut_outs(paths: Sequence[Path], count: int) -> list[RGB]:
    """The faces in recordings, with what is around them."""
    import cv2

    found = []
    detector = FaceDetector(0.5, MAX_FACES)
    for picture in (each for path in paths for each in pictures(path, count)):
        height, width = picture.shape[:2]
        for face in detector.detect(small(picture), 0):
            side = round(AROUND * face.box[2] * width)
            left = round((face.box[0] + face.box[2] / 2) * width - side / 2)
            top = round((face.box[1] + face.box[3] / 2) * height - side * ABOVE)
            wide = cv2.copyMakeBorder(picture, side, side, side, side, cv2.BORDER_REPLICATE)
            found.append(wide[top + side : top + 2 * side, left + side : left + 2 * side].astype(np.uint8, copy=False))
    detector.close()
    return found


def small(picture: RGB) -> RGB:
    """As the capture makes it."""
    import cv2

    scale = SMALL_WIDTH / max(picture.shape[:2])
    size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    resized: RGB = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return resized


def pasted(background: RGB, places: Sequence[tuple[float, float, float]], faces: Sequence[RGB]) -> Composite:
    """Faces pasted where they are told: their middle, and their width, in pixels."""
    import cv2

    picture, boxes = background.copy(), []
    for (x, y, face_width), face in zip(places, faces, strict=True):
        side = round(face_width * AROUND)
        way = cv2.INTER_AREA if side < len(face) else cv2.INTER_LINEAR
        scaled = cv2.resize(face, (side, side), interpolation=way)
        left, top = round(x - side / 2), round(y - side * ABOVE)
        rows = slice(max(0, top), min(HEIGHT, top + side))
        columns = slice(max(0, left), min(WIDTH, left + side))
        picture[rows, columns] = scaled[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        half = face_width / 2
        boxes.append(((x - half) / WIDTH, (y - half) / HEIGHT, face_width / WIDTH, face_width / HEIGHT))
    return Composite(picture, boxes)


def composites(backgrounds: list[RGB], faces: list[RGB]) -> dict[str, list[Composite]]:
    """The pictures to look at, by what they show."""
    random = np.random.default_rng(0)
    sets: dict[str, list[Composite]] = {}
    for share in SIZES:
        made = sets[f"{share:.0%}"] = []
        width = share * WIDTH
        for index, face in enumerate(faces):
            x = random.uniform(min(width, WIDTH / 2), max(WIDTH - width, WIDTH / 2))
            y = random.uniform(min(width * 1.2, HEIGHT / 2), max(HEIGHT - width * 0.8, HEIGHT / 2))
            made.append(pasted(backgrounds[index % len(backgrounds)], [(x, y, width)], [face]))
    for columns, rows in GRIDS:
        cell = WIDTH / columns, HEIGHT / rows
        side = 0.98 * min(cell)
        middles = [(cell[0] * (c + 0.5), cell[1] * (r + 0.5) + 0.1 * side) for r in range(rows) for c in range(columns)]
        made = sets[f"{columns * rows} faces"] = []
        for index in range(GRID_PICTURES):
            order = random.permutation(np.resize(np.arange(len(faces)), columns * rows))
            places = [(x, y, side / AROUND) for x, y in middles]
            made.append(pasted(backgrounds[index % len(backgrounds)], places, [faces[each] for each in order]))
    sets["no face"] = [Composite(background, []) for background in backgrounds]
    return sets


def measured(detector: FaceDetector, range_: Range, sets: dict[str, list[Composite]]) -> str:
    """A line of the table: found, of all, and what is no face; at the end the median ms a frame."""
    cells, times = [], []
    for made in sets.values():
        found = extra = 0
        spent = 0.0
        for composite in made:
            search = FaceSearch(detector, range_, MAX_FACES)
            seen = small(composite.picture)
            for frame in range(FRAMES):
                began = time.perf_counter()
                boxes = [face.box for face in search.detect(seen, frame * SECOND // RATE)]
                spent += time.perf_counter() - began
                hit = [any(overlap(box, face) > MIN_OVERLAP for box in boxes) for face in composite.faces]
                found += sum(hit)
                extra += sum(all(overlap(box, face) <= MIN_OVERLAP for face in composite.faces) for box in boxes)
        total = sum(len(composite.faces) for composite in made) * FRAMES
        share = f"{found / total:.0%}" if total else "-"
        cells.append(f"{share} +{extra / FRAMES / len(made):.2f}")
        times.append(f"{spent / FRAMES / len(made) * 1e3:.1f} ms")
    return "".join(f"{f'{cell}  {ms}':>20}" for cell, ms in zip(cells, times, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faces", type=Path, nargs="+", required=True, help="recordings and pictures with faces")
    parser.add_argument("--background", type=Path, required=True, help="a recording without any")
    parser.add_argument("--each", type=int, default=2, help="pictures of each recording (%(default)s)")
    parser.add_argument("--full-range", type=Path, help="MediaPipe's full-range model, to compare with")
    given = parser.parse_args()
    import cv2

    size = WIDTH, HEIGHT
    backgrounds = [
        cv2.resize(each, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        for each in pictures(given.background, 4)
    ]
    faces = cut_outs(given.faces, given.each)
    sets = composites(backgrounds, faces)
    print(f"{len(faces)} faces; found, what is no face in a picture, and the time that a frame takes")
    print(f"{'range':<18}" + "".join(f"{name:>20}" for name in sets))
    detector = FaceDetector(0.5, MAX_FACES)
    ranges: tuple[Range, ...] = ("short", "auto", "full")
    for each in ranges:
        print(f"{each:<18}" + measured(detector, each, sets), flush=True)
    detector.close()
    if given.full_range is not None:
        with patch("emopipe.models.assets.face_detector_model", lambda: given.full_range):
            other = FaceDetector(0.5, MAX_FACES)
        print(f"{'full-range model':<18}" + measured(other, "short", sets))
        other.close()


if __name__ == "__main__":
    main()
