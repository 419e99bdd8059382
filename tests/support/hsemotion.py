"""A teacher's weights as HSEmotion's lie in their file, random and narrow."""

from pathlib import Path

import numpy as np


def write_weights(path: Path, width: int = 4) -> Path:
    random = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return random.normal(0, 0.3, shape).astype(np.float32)

    arrays = {"0_c_w": draw(width, 3, 3, 3), "0_c_b": draw(width)}
    for index in range(1, 27):
        depthwise = index % 2 == 1
        shape = (1, 3, 3, width) if depthwise else (width, 1, 1, width)
        kind = "d" if depthwise else "c"
        arrays |= {f"{index}_{kind}_w": draw(*shape), f"{index}_{kind}_b": draw(width)}
    arrays |= {"fc0_w": draw(256, width), "fc0_b": draw(256), "fc1_w": draw(7, 256), "fc1_b": draw(7)}
    np.savez(path, **arrays)
    return path
