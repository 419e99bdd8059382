"""What native code logs to the standard error of the process, kept out of a user's sight."""

import contextlib
import os
import re
import tempfile
import threading
from collections.abc import Iterator
from typing import IO

_CHATTER = re.compile(rb"(INFO|WARNING): |[IW]\d{4} \d\d:\d\d:")  # of TensorFlow Lite and of Abseil; errors are not


class _StandardError:
    """The process's standard error, which one thread at a time may turn aside."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.RLock()  # the garbage collector may close a detector while another is made
        self._kept = -1  # where it goes but for the moment

    @contextlib.contextmanager
    def aside(self, log: IO[bytes]) -> Iterator[None]:
        """Let what the process writes to it go to `log`."""
        with self._lock:
            outer, before = self._kept, os.dup(2)
            self._kept = outer if outer >= 0 else before
            os.dup2(log.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(before, 2)
                self._kept = outer
                os.close(before)

    def after_fork(self) -> None:
        """Set the child's right, where the fork came meanwhile."""
        if self._kept >= 0:
            os.dup2(self._kept, 2)
        self._begin()


_standard_error = _StandardError()
if hasattr(os, "register_at_fork"):  # where there is fork
    os.register_at_fork(after_in_child=_standard_error.after_fork)


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Drop information and warnings that native code logs meanwhile, and nothing else.

    MediaPipe has no setting for it. All that the process writes to standard error meanwhile comes a moment later.
    """
    try:
        os.fstat(2)
    except OSError:  # there is none
        yield
        return
    with tempfile.TemporaryFile() as log:
        try:
            with _standard_error.aside(log):
                yield
        finally:
            log.seek(0)
            if said := b"".join(line for line in log if not _CHATTER.match(line)):
                os.write(2, said)
