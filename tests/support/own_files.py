"""Labelled files as a user has them, of which no model can make sense: noise as faces."""

from pathlib import Path

import cv2
import numpy as np


def noise_pictures(folder: Path, count: int = 5, seed: int = 0) -> None:
    """Write so many small pictures, each another one, which are taken for faces as they are."""
    folder.mkdir(parents=True)
    for number in range(count):
        noise = np.random.default_rng((seed, number, *folder.name.encode())).integers(0, 256, (48, 48), np.uint8)
        (folder / f"{number}.png").write_bytes(bytes(cv2.imencode(".png", noise)[1]))
