"""The memory that a process shares with those it sends arrays to: a file without a name, in slots of any size.

Nobody has to remove it: the system frees a memfd with the last process that has it open or mapped, however these end.
"""

import fcntl
import mmap
import os
import weakref
from bisect import insort
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

POOL_BYTES = 1 << 27  # what is not used takes no memory; a 720p picture has a slot of 0.9 MB
PAGE_BYTES = 4096  # slots begin at a multiple


@dataclass(eq=False)
class _Slot:
    offset: int
    end: int
    key: int  # the `id` of the array that is in it
    source: "weakref.ref[NDArray[Any]]"
    holders: int = 1


class SlotPool:
    """The slots of one process. An array that goes to several receivers has one. Not for concurrent use.

    Args:
        warn: told once, if arrays have to be copied where they should be shared.
        size: of all slots together, in bytes.
    """

    def __init__(self, warn: Callable[[str], None], size: int = POOL_BYTES) -> None:
        self._warn = warn
        self._warned = False
        self._size = size
        self._usable = hasattr(os, "memfd_create")  # on Linux alone
        self._memory: mmap.mmap | None = None
        self._file = -1
        self._backed = 0  # bytes that the system has granted
        self._slots: list[_Slot] = []  # those in use, in order
        self._by_offset: dict[int, _Slot] = {}
        self._by_source: dict[int, _Slot] = {}

    @property
    def used(self) -> int:
        """How many slots are in use."""
        return len(self._slots)

    def file(self) -> int | None:
        """The descriptor of the memory, which is made with the first call; None where there can be none."""
        if self._usable and self._memory is None:
            try:
                self._file = os.memfd_create(f"emopipe-{os.getpid()}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
                os.ftruncate(self._file, self._size)
                fcntl.fcntl(self._file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)  # a reader would be killed by SIGBUS
                self._memory = mmap.mmap(self._file, self._size)
            except OSError as error:
                self._give_up(error)
        return self._file if self._usable else None

    def place(self, array: NDArray[Any]) -> int | None:
        """Put an array into a slot, in C order; gives the slot's offset, or None where there is no room now.

        One that is in a slot already gets no other: what was sent must not change any more.
        """
        slot = self._by_source.get(id(array))
        if slot is not None and slot.source() is array:
            slot.holders += 1
            return slot.offset
        slot = self._new_slot(array)
        if slot is None or self._memory is None:
            return None
        room = np.frombuffer(self._memory, array.dtype, array.size, slot.offset)
        np.copyto(room.reshape(array.shape), array)
        return slot.offset

    def release(self, offset: int) -> None:
        """One holder is done with the slot at `offset`."""
        slot = self._by_offset[offset]
        slot.holders -= 1
        if slot.holders == 0:
            self._slots.remove(slot)
            del self._by_offset[offset]
            if self._by_source.get(slot.key) is slot:  # and not of a later array in the place of that one
                del self._by_source[slot.key]

    def warn(self, why: str) -> None:
        """Say, once, that arrays are copied."""
        if not self._warned:
            self._warned = True
            self._warn(f"pictures are copied from process to process, since no memory can be shared: {why}")

    def close(self) -> None:
        """Let go of the memory; what others have mapped stays theirs."""
        self._usable = False
        if self._memory is not None:
            self._memory.close()
            os.close(self._file)
            self._memory = None

    def _new_slot(self, array: NDArray[Any]) -> _Slot | None:
        size = -(-array.nbytes // PAGE_BYTES) * PAGE_BYTES
        offset = 0  # the lowest that is free: what was used before is in the cache, and is no new memory
        for other in self._slots:
            if other.offset - offset >= size:
                break
            offset = other.end
        end = offset + size
        if not self._usable or end > self._size or not self._back(end):
            return None
        slot = _Slot(offset, end, id(array), weakref.ref(array))
        insort(self._slots, slot, key=lambda each: each.offset)
        self._by_offset[offset] = self._by_source[slot.key] = slot
        return slot

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

    def _give_up(self, error: OSError) -> None:
        self._usable = False
        self.warn(error.strerror or str(error))
