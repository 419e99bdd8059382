"""Which files of a folder somebody opens, whatever process and language does it, by inotify."""

import ctypes
import os
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

IN_OPEN = 0x20
IN_ISDIR = 0x40000000
_EVENT = struct.Struct("iIII")  # watch, mask, cookie, length of the name behind it


@contextmanager
def opened_files(folders: Iterable[Path]) -> Iterator[set[Path]]:
    """Yield a set that holds, once the block has ended, every file in `folders` that was opened meanwhile."""
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "inotify_init1")
    found: set[Path] = set()
    try:
        watched = {}
        for folder in folders:
            watch = libc.inotify_add_watch(descriptor, os.fsencode(folder), IN_OPEN)
            if watch < 0:
                raise OSError(ctypes.get_errno(), "inotify_add_watch", str(folder))
            watched[watch] = folder
        yield found
        while events := _read(descriptor):
            place = 0
            while place < len(events):
                watch, mask, _, length = _EVENT.unpack_from(events, place)
                place += _EVENT.size
                name = events[place : place + length].rstrip(b"\0")
                place += length
                if not mask & IN_ISDIR:
                    found.add(watched[watch] / os.fsdecode(name))
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 1 << 20)
    except BlockingIOError:
        return b""
