"""The command: `emopipe VERB …`. Its verbs are the modules of `emopipe/commands/`.

Nothing heavy is imported before `main` is called, so that Ctrl-C is answered from the first moment on.
"""

import os
import signal
import sys
from collections.abc import Sequence
from threading import current_thread, main_thread
from types import FrameType

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line, by default that of this process, and return its exit code: 0 done · 1 failed · 2 something
    to mend · 130 interrupted."""
    before = signal.getsignal(signal.SIGINT)
    own = arguments is None and current_thread() is main_thread()  # else the process is somebody else's
    watched = own and before is signal.default_int_handler
    arguments = sys.argv[1:] if arguments is None else arguments
    if watched:
        signal.signal(signal.SIGINT, _leave)
    try:
        from emopipe import command_line

        modules = command_line.load(arguments)
    finally:
        if watched:
            signal.signal(signal.SIGINT, before)
    return command_line.run(arguments, modules)


def _leave(_signal: int, _frame: FrameType | None) -> None:
    """End the process while it imports: an exception there is a traceback, or is lost in a callback of the import."""
    os.write(2, b"emopipe: interrupted\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())
