"""Arrays in memory that is not NumPy's own, and that say when nobody uses them any more."""

import mmap
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


class View:
    """What an array, and all that is made of it without a copy, keeps alive: the base of them all.

    `released` is called, in any thread, when the last of them is gone.
    """

    def __init__(self, interface: dict[str, Any], memory: mmap.mmap, released: Callable[[], None]) -> None:
        self.__array_interface__ = interface
        self._memory = memory
        self._released = released

    def __del__(self) -> None:
        self._released()


def array_at(
    address: int,
    dtype: str,
    shape: Sequence[int],
    memory: mmap.mmap,
    released: Callable[[], None],
    *,
    writable: bool = False,
) -> NDArray[Any]:
    """The array at an address in `memory`, which stays mapped as long as there is anything of it."""
    interface = {"version": 3, "typestr": dtype, "shape": tuple(shape), "data": (address, not writable)}
    return np.asarray(View(interface, memory, released))


def address_of(memory: mmap.mmap) -> int:
    """Where a mapping begins."""
    return np.frombuffer(memory, np.uint8).ctypes.data
