"""What native code logs to the standard error of the process, kept out of a user's sight."""

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

_CHATTER = re.compile(rb"(INFO|WARNING): |[IW]\d{4} \d\d:\d\d:")  # of TensorFlow Lite and of Abseil; errors are not


@contextlib.contextmanager
def without_chatter() -> Iterator[None]:
    """Drop information and warnings that native code logs meanwhile, and nothing else.

    MediaPipe has no setting for it. All that the process writes to standard error meanwhile comes a moment later.
    """
    sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # there is no standard error
        yield
        return
    with tempfile.TemporaryFile() as log:
        os.dup2(log.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            log.seek(0)
            said = b"".join(line for line in log if not _CHATTER.match(line))
            if said:
                os.write(2, said)
