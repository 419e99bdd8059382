"""What this process uses of the machine, as the system counts it."""

import os
import threading
import time
from pathlib import Path

from emopipe.pipeline.report import ProcessReport

PROC = Path("/proc/self")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


class Usage:
    """The usage of this process; processor time counts from `start` on."""

    def __init__(self) -> None:
        self._cpu_at_start = 0

    def start(self) -> None:
        """Count processor time from now on."""
        self._cpu_at_start = time.process_time_ns()

    def sample(self) -> ProcessReport:
        """As it is now; what the system does not tell is 0 (memory and descriptors outside Linux)."""
        try:
            memory = int((PROC / "statm").read_text().split()[1]) * PAGE_BYTES
            threads, descriptors = len(os.listdir(PROC / "task")), len(os.listdir(PROC / "fd")) - 1  # noqa: PTH208
        except OSError:
            memory, threads, descriptors = 0, threading.active_count(), 0
        cpu = time.process_time_ns() - self._cpu_at_start
        return ProcessReport(pid=os.getpid(), cpu=cpu, memory=memory, threads=threads, descriptors=descriptors)
