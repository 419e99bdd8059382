"""RAF-DB and CK+ as their users have them, small."""

from pathlib import Path

import cv2
import numpy as np

from emopipe.models.labels import FACE
from tests.support.fer2013 import image


def write_rafdb(root: Path, train: int = 14, test: int = 7, size: int = 100) -> Path:
    """Colour pictures in the layout of the common download, classes by turns; numbers count from 1."""
    for part, count, digits in (("train", train, 5), ("test", test, 4)):
        for number in range(1, count + 1):
            target = number % len(FACE)
            folder = root / part / FACE[target]
            folder.mkdir(parents=True, exist_ok=True)
            picture = cv2.resize(image(target, number), (size, size))
            path = folder / f"{part}_{number:0{digits}}_aligned.jpg"
            path.write_bytes(bytes(cv2.imencode(".jpg", np.stack([picture] * 3, axis=2))[1]))
    return root


def write_ck(root: Path, classes: tuple[str, ...] = ("anger", "contempt", "happy", "sadness")) -> Path:
    """Two pictures of each class, 48×48."""
    for number, label in enumerate(classes):
        (root / "CK+48" / label).mkdir(parents=True)
        for person in (1, 2):
            path = root / "CK+48" / label / f"S{person:03}_{number + 1:03}_00000014.png"
            path.write_bytes(bytes(cv2.imencode(".png", image(number, person))[1]))
    return root
