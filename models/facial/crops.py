"""The preparation of face crops: one rule for arrays and for torch's tensors."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

SIZE = 48
"""Height and width of a crop, in pixels."""

CONTRAST_FLOOR = 0.03 * 255
"""Added to a crop's standard deviation, in grey levels: what is nearly flat is not blown up to a face."""


def standardise(images: Any) -> Any:
    """Take light and contrast out of grey crops [N, 1, 48, 48], float64, each by its own mean and deviation.

    `images` is an array or a tensor. Sums of whole levels are exact in float64 whatever their order: a crop's values
    have the same bits in any batch, and in NumPy and torch.
    """
    mean = images.mean((2, 3))[:, :, None, None]
    variance = (images * images).mean((2, 3))[:, :, None, None] - mean * mean
    return (images - mean) / (variance.clip(0) ** 0.5 + CONTRAST_FLOOR)


def prepare(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What networks of ours see of grey crops [N, 48, 48], levels 0–255: float32 [N, 1, 48, 48]."""
    prepared: NDArray[np.float32] = standardise(crops[:, None].astype(np.float64)).astype(np.float32)
    return prepared
