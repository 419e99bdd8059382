"""The memory that a process shares with those it sends arrays to: a file without a name, in slots of any size.

Nobody has to remove it: the system frees a memfd with the last process that has it open or mapped, however these end.
"""

import fcntl
import mmap
import os
import threading
import weakref
from bisect import insort
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from emopipe.pipeline.memory.views import address_of, array_at

POOL_BYTES = 1 << 27  # what is not used takes no memory; a 720p picture has a slot of 0.9 MB
PAGE_BYTES = 4096  # slots begin at a multiple
LARGE_ARRAY_BYTES = 1 << 15  # below about half of it a copy is cheaper


@dataclass(eq=False)
class _Slot:
    offset: int
    end: int
    holders: int = 1
    key: int = 0  # the `id` of the array that was copied into it
    source: Callable[[], object] = lambda: None


class SlotPool:
    """The slots of one process. An array that goes to several receivers has one.

    Args:
        warn: told once, if arrays have to be copied where they should be shared.
        size: of all slots together, in bytes.

    Attributes:
        mapped: whether anybody has mapped the memory yet.
    """

    def __init__(self, warn: Callable[[str], None], size: int = POOL_BYTES) -> None:
        self._warn = warn
        self._warned = False
        self._problem = ""  # that is to be said: a thread may have met it
        self._size = size
        self._usable = hasattr(os, "memfd_create")  # on Linux alone
        self._memory: mmap.mmap | None = None
        self._address = 0
        self._file = -1
        self._backed = 0  # bytes that the system has granted
        self._lock = threading.Lock()  # of the slots
        self._slots: list[_Slot] = []  # those in use, in order
        self._by_offset: dict[int, _Slot] = {}
        self._by_source: dict[int, _Slot] = {}
        self._released: deque[int] = deque()  # filled by whichever thread drops the last view
        self.mapped = False

    @property
    def used(self) -> int:
        """How many slots are in use."""
        with self._lock:
            self._take_released()
            return len(self._slots)

    def file(self) -> int | None:
        """The descriptor of the memory, which is made with the first call; None where there can be none."""
        if self._usable and self._memory is None:
            try:
                self._file = os.memfd_create(f"emopipe-{os.getpid()}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
                os.ftruncate(self._file, self._size)
                fcntl.fcntl(self._file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)  # a reader would be killed by SIGBUS
                self._memory = mmap.mmap(self._file, self._size)
                self._address = address_of(self._memory)
            except OSError as error:
                self._give_up(error)
                self._tell()
        return self._file if self._usable else None

    def empty(self, shape: Sequence[int], dtype: DTypeLike) -> NDArray[Any] | None:
        """An array in a slot of its own, to be filled and sent; None where there is no room now. In any thread."""
        kind = np.dtype(dtype)
        with self._lock:
            slot = self._new_slot(int(np.prod(shape)) * kind.itemsize)
        if slot is None or self._memory is None:
            return None
        released = partial(self._released.append, slot.offset)
        return array_at(self._address + slot.offset, kind.str, shape, self._memory, released, writable=True)

    def place(self, array: NDArray[Any]) -> int | None:
        """See that an array is in a slot, in C order; gives the slot's offset, or None where there is no room now.

        Only one that is in none yet is copied: what was sent must not change any more.
        """
        with self._lock:
            slot = self._slot_of(array)
            if slot is not None:
                slot.holders += 1
                return slot.offset
            slot = self._new_slot(array.nbytes)
            if slot is not None:
                slot.key, slot.source = id(array), weakref.ref(array)
                self._by_source[slot.key] = slot
        if slot is None or self._memory is None:
            self._tell()
            return None
        room = np.frombuffer(self._memory, array.dtype, array.size, slot.offset)
        np.copyto(room.reshape(array.shape), array)
        return slot.offset

    def release(self, offset: int) -> None:
        """One holder is done with the slot at `offset`."""
        self._released.append(offset)

    def warn(self, why: str) -> None:
        """Say, once, that arrays are copied."""
        if not self._warned:
            self._warned = True
            self._warn(f"pictures are copied from process to process, since no memory can be shared: {why}")

    def close(self) -> None:
        """Let go of the memory; what arrays are left keep theirs."""
        self._usable = self.mapped = False
        if self._memory is not None:
            os.close(self._file)
            self._memory = None

    def _slot_of(self, array: NDArray[Any]) -> _Slot | None:
        """The slot that an array is in already: it was made there, or copied there for another receiver."""
        if self._memory is None:
            return None
        slot = self._by_offset.get(array.__array_interface__["data"][0] - self._address)
        if slot is not None and array.flags.c_contiguous and array.nbytes <= slot.end - slot.offset:
            return slot
        slot = self._by_source.get(id(array))
        return slot if slot is not None and slot.source() is array else None

    def _new_slot(self, size: int) -> _Slot | None:
        self._take_released()
        size = -(-max(1, size) // PAGE_BYTES) * PAGE_BYTES
        offset = 0  # the lowest that is free: what was used before is in the cache, and is no new memory
        for other in self._slots:
            if other.offset - offset >= size:
                break
            offset = other.end
        end = offset + size
        if not self._usable or end > self._size or not self._back(end):
            return None
        slot = self._by_offset[offset] = _Slot(offset, end)
        insort(self._slots, slot, key=lambda each: each.offset)
        return slot

    def _take_released(self) -> None:
        while self._released:
            slot = self._by_offset[self._released.popleft()]
            slot.holders -= 1
            if slot.holders == 0:
                self._slots.remove(slot)
                del self._by_offset[slot.offset]
                if self._by_source.get(slot.key) is slot:  # and not of a later array in the place of that one
                    del self._by_source[slot.key]

    def _back(self, end: int) -> bool:
        """Have the system grant the memory up to `end`; who touches what it does not have is killed by SIGBUS."""
        if end > self._backed:
            try:
                os.posix_fallocate(self._file, self._backed, end - self._backed)
            except OSError as error:
                self._give_up(error)
                return False
            self._backed = end
        return True

    def _tell(self) -> None:
        if self._problem:
            self.warn(self._problem)

    def _give_up(self, error: OSError) -> None:
        self._usable = False
        self._problem = error.strerror or str(error)
