"""Another process's shared memory, seen from here."""

import math
import mmap
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.memory.views import address_of, array_at


class Mapping:
    """The memory at `path`, which stays mapped as long as there is a view of it.

    Args:
        released: called with a view's offset, in any thread, when no array has anything of it any more.

    Raises:
        OSError: it cannot be opened or mapped.
    """

    def __init__(self, path: Path, released: Callable[[int], None]) -> None:
        with path.open("rb") as file:
            self._memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._address = address_of(self._memory)
        self._released = released

    def view(self, offset: int, dtype: str, shape: Sequence[int]) -> NDArray[Any]:
        """The array of so many items at `offset`, read-only; no copy.

        Raises:
            ValueError: it does not lie within the memory.
        """
        if not 0 <= offset <= offset + math.prod(shape) * np.dtype(dtype).itemsize <= len(self._memory):
            raise ValueError(f"an array of {list(shape)} at {offset} of {len(self._memory)} bytes of shared memory")
        return array_at(self._address + offset, dtype, shape, self._memory, partial(self._released, offset))
