"""Where a process makes the arrays that it may send to others."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from emopipe.pipeline.memory.pool import LARGE_ARRAY_BYTES, SlotPool

_pools: list[SlotPool] = []  # of this process: one, or none


def use_pool(pool: SlotPool) -> None:
    """Let `empty` take memory from this pool, as soon as somebody has mapped it."""
    _pools[:] = [pool]


def empty(shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """As `np.empty`; a large array, where it may be sent to another process, lies where that can read it."""
    made = None
    if _pools and _pools[0].mapped and math.prod(shape) * np.dtype(dtype).itemsize >= LARGE_ARRAY_BYTES:
        made = _pools[0].empty(shape, dtype)
    return np.empty(shape, dtype) if made is None else made
