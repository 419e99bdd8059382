"""The two ends of a link whose large arrays stay where they are, in slots of the sender's pool.

The sender offers its memory before the first array that is worth it, and copies until the receiver has mapped it; it
copies as well where no slot is free, so nobody ever waits for one. A slot is used again when the last view of it at
each receiver is gone, which says so with its next acknowledgement, or when the receiver is dead.
"""

import os
import struct
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from emopipe.pipeline.memory.mapping import Mapping
from emopipe.pipeline.memory.pool import LARGE_ARRAY_BYTES, SlotPool
from emopipe.pipeline.message import Buffer

OFFER, MAPPED, NOT_MAPPED = b"memory", b"mapped", b"not mapped"
_ADDRESS = struct.Struct("<QQ")  # the sender's process, and its descriptor
_OFFSET = struct.Struct("<Q")


class SentSlots:
    """The slots that a link's receiver holds, as the sender knows it; `send` sends a message of the link's own."""

    def __init__(self, pool: SlotPool, send: Callable[[Sequence[bytes]], None]) -> None:
        self._pool = pool
        self._send = send
        self._held: Counter[int] = Counter()  # by offset
        self._offered = self._mapped = False

    def place(self, array: NDArray[Any]) -> int | None:
        """The offset of a slot with this array in it; None where it is to be copied into the message."""
        if array.nbytes < LARGE_ARRAY_BYTES:
            return None
        if not self._offered:
            self._offered = True
            if (file := self._pool.file()) is not None:
                self._send([OFFER, _ADDRESS.pack(os.getpid(), file)])
        offset = self._pool.place(array) if self._mapped else None
        if offset is not None:
            self._held[offset] += 1
        return offset

    def take_answer(self, parts: Sequence[Buffer]) -> bool:
        """Whether a message is the receiver's answer to the offer, which is noted."""
        if not self._offered or self._mapped or parts[0] not in (MAPPED, NOT_MAPPED):
            return False
        self._mapped = parts[0] == MAPPED
        if self._mapped:
            self._pool.mapped = True
        else:
            self._pool.warn(bytes(parts[-1]).decode())
        return True

    def release(self, released: Buffer) -> bool:
        """The receiver has no view of these slots any more; False where it cannot have had."""
        if len(released) % _OFFSET.size:
            return False
        offsets = Counter(offset for (offset,) in _OFFSET.iter_unpack(released))
        if not offsets <= self._held:
            return False
        self._held -= offsets
        for offset in offsets.elements():
            self._pool.release(offset)
        return True

    def lose_receiver(self) -> None:
        """The receiver is dead, and its views with it; the next one is asked anew."""
        for offset in self._held.elements():
            self._pool.release(offset)
        self._held.clear()
        self._offered = self._mapped = False


class ReceivedSlots:
    """The sender's memory, as the receiver has mapped it; `send` answers the sender."""

    def __init__(self, send: Callable[[Sequence[bytes]], None]) -> None:
        self._send = send
        self._released: deque[int] = deque()  # filled by whichever thread drops the last view
        self._mapping: Mapping | None = None

    def take_offer(self, parts: Sequence[Buffer]) -> bool:
        """Whether a message is the sender's offer, which is answered."""
        if self._mapping is not None or len(parts) != 2 or parts[0] != OFFER or len(parts[1]) != _ADDRESS.size:
            return False
        process, file = _ADDRESS.unpack(parts[1])
        try:
            self._mapping = Mapping(Path(f"/proc/{process}/fd/{file}"), self._released.append)
        except OSError as error:
            self._send([NOT_MAPPED, f"{error.filename}: {error.strerror}".encode()])
        else:
            self._send([MAPPED])
        return True

    def view(self, offset: int, dtype: str, shape: Sequence[int]) -> NDArray[Any]:
        """The array at `offset`, read-only.

        Raises:
            ValueError: there is none.
        """
        if self._mapping is None:
            raise ValueError("an array in memory that is not shared")
        return self._mapping.view(offset, dtype, shape)

    def take_released(self) -> bytes:
        """The offsets of the slots of which all views have gone since the last call."""
        offsets = []
        while self._released:
            offsets.append(_OFFSET.pack(self._released.popleft()))
        return b"".join(offsets)
