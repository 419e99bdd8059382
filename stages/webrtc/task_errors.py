"""Keeps the mistakes of a library's own tasks from ending the run of everybody."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any

MAX_WARNINGS = 32  # different texts that are warned of


def contain_task_errors(packages: tuple[str, ...], warn: Callable[[str], None]) -> Callable[[], None]:
    """Warn, once for each text, of what tasks and callbacks of `packages` raise where nobody awaits them.

    Everything else goes on to the loop's handler of before. Returns what puts that back.
    """
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    texts: set[str] = set()

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Exception) and _comes_from(error.__traceback__, packages):
            text = f"a connection: {type(error).__name__}: {error}"
            if text not in texts and len(texts) < MAX_WARNINGS:
                texts.add(text)
                warn(text)
        elif before is not None:
            before(loop, context)
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(handle)
    return lambda: loop.set_exception_handler(before)


def _comes_from(trace: TracebackType | None, packages: tuple[str, ...]) -> bool:
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] in packages:
            return True
        trace = trace.tb_next
    return False
