"""Samples of where a process spends its CPU time, thread by thread, taken from within (Linux).

Some 200 times a second a thread of its own looks at all others: which function each is in, and by the system's clocks
what CPU time it has used since it was last looked at. So what waits counts nothing, and the sums are the process's own.
A library that holds Python's lock while it computes is seen where it lets go.

Only the standard library is imported, since this is what each sampled process begins with.
"""

import dis
import json
import linecache
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import CodeType, FrameType

FOLDER_VARIABLE = "EMOPIPE_FLAME"
"""The environment variable that names the folder that each process writes its samples into."""

INTERVAL_S, WRITE_INTERVAL_S = 0.005, 0.25
SWITCH_INTERVAL_S = 0.0001  # until Python code lets the sampler look; by default it is mostly done before that
IMPORTS = "imports"
_TASKS = Path("/proc/self/task")

Stack = tuple[str, ...]
"""From the outermost call on `module:function`; last `()`, and the name of what a library computes, if it does."""


class Sampler(threading.Thread):
    """A thread that samples its process to the end.

    Args:
        folder: where a file by the number of the process is written: its arguments, and ns by stack.
    """

    def __init__(self, folder: str) -> None:
        super().__init__(name="sampler", daemon=True)
        self._file = Path(folder) / f"{os.getpid()}.json"
        self._over = threading.Event()
        self._used: dict[int, int] = {}  # ns, by the system's number of the thread
        self._calls: dict[tuple[CodeType, int], str] = {}
        self.stacks: Counter[Stack] = Counter()  # ns of CPU

    def run(self) -> None:
        sys.setswitchinterval(SWITCH_INTERVAL_S)
        due = 0.0
        while not self._over.wait(INTERVAL_S):
            self.look()
            if time.monotonic() >= due:
                self._write()  # a process may end from one moment to the next
                due = time.monotonic() + WRITE_INTERVAL_S
        self._write()

    def stop(self) -> None:
        self._over.set()
        self.join()

    def look(self) -> None:
        """Add what each thread has used since the last look to where it is now."""
        frames = sys._current_frames()
        python = {each.native_id: frames.get(each.ident or 0) for each in threading.enumerate()}
        python.pop(threading.get_native_id(), None)
        for number in (int(task.name) for task in _TASKS.iterdir()):
            if number == threading.get_native_id():
                continue
            try:
                # The system's number of a thread's clock (CPUCLOCK_PERTHREAD | CPUCLOCK_SCHED).
                used = time.clock_gettime_ns((~number << 3) | 6)
            except OSError:
                continue  # it has ended meanwhile
            if new := used - self._used.get(number, 0):
                self._used[number] = used
                frame = python.get(number)
                self.stacks[self._stack(frame) if frame is not None else (_thread_name(number),)] += new

    def _stack(self, innermost: FrameType) -> Stack:
        stack = [self._call(innermost.f_code, innermost.f_lasti)]
        frame: FrameType | None = innermost
        while frame is not None:
            module = str(frame.f_globals.get("__name__", ""))
            if module.startswith("importlib"):
                return (IMPORTS,)
            stack.append(f"{module}:{frame.f_code.co_qualname}")
            frame = frame.f_back
        return tuple(reversed(stack)) if stack[0] else tuple(reversed(stack[1:]))

    def _call(self, code: CodeType, at: int) -> str:
        """What is called there that is not Python, such as `()session.run`; empty where nothing is."""
        if (code, at) not in self._calls:
            called = ""
            if "CALL" in dis.opname[code.co_code[at]]:
                line, _, start, _ = list(code.co_positions())[at // 2]
                text = linecache.getline(code.co_filename, line or 0).encode()[start or 0 :].decode(errors="replace")
                called = "()" + text.removeprefix("super().").removeprefix("self.").partition("(")[0].strip()
            self._calls[code, at] = called
        return self._calls[code, at]

    def _write(self) -> None:
        found = {"arguments": sys.argv, "stacks": [[*stack, ns] for stack, ns in self.stacks.items()]}
        unfinished = self._file.with_suffix(".new")
        unfinished.write_text(json.dumps(found), encoding="utf-8")
        unfinished.replace(self._file)


def _thread_name(number: int) -> str:
    """The system's name of a thread that Python knows nothing of."""
    try:
        return (_TASKS / str(number) / "comm").read_text().strip()
    except OSError:
        return ""
