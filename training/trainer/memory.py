"""Keeping freed memory, because getting it again costs more than the arithmetic."""

import ctypes
import sys

# From glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4
KEEP_BYTES = 2**31 - 1


def keep_freed_memory() -> bool:
    """Make glibc's malloc reuse large blocks instead of giving them back to the kernel; False elsewhere.

    An activation of a training batch is tens of MB. Above 32 MB glibc maps and unmaps each one, and every
    page faults anew at every step: on a virtual machine that took three quarters of a training step on CPU.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # musl has none
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, KEEP_BYTES))
