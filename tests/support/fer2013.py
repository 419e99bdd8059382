"""FER2013 as a user has it, small: images whose class can be learnt from where a bar lies in them."""

import csv
import zipfile
from pathlib import Path

import cv2
import numpy as np

from emopipe.models.labels import FACE


def image(target: int, seed: int) -> np.ndarray:
    """A 48×48 image of noise around a brightness that tells the class, as does the place of a bar across it."""
    noise = np.random.default_rng(seed).normal(25 + 25 * target, 8, (48, 48))
    noise[6 * target : 6 * target + 6] += 50
    return noise.clip(0, 255).astype(np.uint8)


def encoded(picture: np.ndarray, extension: str = ".jpg") -> bytes:
    return bytes(cv2.imencode(extension, picture)[1])


def write_folder(root: Path, train: int = 4, validation: int = 2) -> Path:
    """`train` and `validation` images of each class, in the layout of the common download."""
    seed = 0
    for target, label in enumerate(FACE):
        for folder, prefix, count in (("train", "Training", train), ("test", "PublicTest", validation)):
            (root / folder / label).mkdir(parents=True)
            for _ in range(count):
                seed += 1
                (root / folder / label / f"{prefix}_{seed}.jpg").write_bytes(encoded(image(target, seed)))
    return root


HEADERS = {
    "fer2013.csv": ("emotion", "pixels", "Usage"),
    "icml_face_data.csv": ("emotion", " Usage", " pixels"),
}


def write_csv(path: Path, root: Path) -> Path:
    """The images of a folder as the original csv, with the columns that go with the file's name."""
    header = HEADERS.get(path.name, HEADERS["fer2013.csv"])
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(header)
        for image_path in sorted(root.rglob("*.jpg")):
            pixels = cv2.imread(str(image_path), cv2.IMREAD_GRAYSCALE).ravel()
            row = {
                "emotion": FACE.index(image_path.parent.name),
                "pixels": " ".join(map(str, pixels)),
                "Usage": image_path.stem.partition("_")[0],
            }
            table.writerow([row[name.strip()] for name in header])
    return path


def write_zip(path: Path, root: Path, inside: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(root.rglob("*.*")):
            archive.write(file, inside + file.relative_to(root).as_posix())
    return path
