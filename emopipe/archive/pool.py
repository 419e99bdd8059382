"""The jobs of an archive: processes that replay recordings side by side, and are replaced where one dies or hangs."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from emopipe.archive.job import MODULE
from emopipe.archive.ledger import Entry, Word
from emopipe.archive.replay import DiskFull, Order, failed
from emopipe.pipeline.errors import StageFailed

HANG_TIMEOUT_S = 300.0  # without a message taken by any stage
MAX_LINE_BYTES = 16 << 20
MALLOC_ARENAS = "2"  # each recording has new threads, and glibc keeps memory for each that there ever was


class Pool:
    """Replays recordings by several processes.

    One that dies with its process, or hangs, is played once more after the others, and has failed where that happens
    again.

    Args:
        order: of the archive.
        jobs: how many processes.
        folder: for what is under way.
        over: called with what became of each recording.
        verbose: pass on what the processes log.
    """

    def __init__(
        self, order: Order, jobs: int, folder: Path, over: Callable[[Entry], None], *, verbose: bool = False
    ) -> None:
        self._order = order
        self._jobs = jobs
        self._folder = folder
        self._over = over
        self._verbose = verbose
        self._waiting: deque[str] = deque()
        self._lost: set[str] = set()  # with a process, once

    async def run(self, recordings: Sequence[str]) -> None:
        """Replay all of them; those that come first are begun first.

        Raises:
            DiskFull: the results cannot be written any more.
            StageFailed: a process does not start.
            asyncio.CancelledError: this task was cancelled; every process is gone all the same.
        """
        self._waiting.extend(recordings)
        jobs = [asyncio.create_task(self._job(number)) for number in range(min(self._jobs, len(recordings)))]
        try:
            await asyncio.gather(*jobs)
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)

    async def _job(self, number: int) -> None:
        process: _Process | None = None
        try:
            while self._waiting:
                recording = self._waiting.popleft()
                process = process or await _Process.start(self._order, self._folder / f"job-{number}", self._verbose)
                answer = await process.replay(recording)
                if isinstance(answer, Entry):
                    self._over(answer)
                elif recording in self._lost:
                    self._over(failed(recording, *answer))
                else:
                    self._lost.add(recording)
                    self._waiting.append(recording)
                if not process.usable:
                    await process.end()
                    process = None
        finally:
            if process is not None:
                await process.end()


class _Process:
    """One process, and the recording that it is at.

    Attributes:
        usable: whether it takes another recording.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.usable = True

    @classmethod
    async def start(cls, order: Order, folder: Path, verbose: bool) -> "_Process":
        """Raises: StageFailed: it ends before it is ready."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            MODULE,
            folder,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={"MALLOC_ARENA_MAX": MALLOC_ARENAS, **os.environ},
            stderr=None if verbose else asyncio.subprocess.DEVNULL,
            start_new_session=True,  # a terminal's Ctrl-C reaches us alone
            limit=MAX_LINE_BYTES,
        )
        made = cls(process)
        try:
            made._tell(msgspec.to_builtins(order))
            if await made._answer() != ("ready", None):
                raise StageFailed(f"a job of the archive does not start: it {await made._death()}; see with --verbose")
        except BaseException:
            await made.end()
            raise
        return made

    async def replay(self, recording: str) -> Entry | tuple[Word, str]:
        """What became of a recording; of one that the process was lost with, why.

        Raises:
            DiskFull: its results cannot be written.
        """
        self._tell(recording)
        while True:
            try:
                async with asyncio.timeout(HANG_TIMEOUT_S):
                    kind, content = await self._answer()
            except TimeoutError:
                self.usable = False
                return "hung", f"no stage has got on for {HANG_TIMEOUT_S:g} s, twice"
            match kind:
                case "entry":
                    entry = msgspec.convert(content, Entry)
                    self.usable = entry.word != "error"
                    return entry
                case "full":
                    raise DiskFull(content)
                case "dead":
                    self.usable = False
                    return "crashed", f"the process that played it {await self._death()}, twice"

    async def end(self) -> None:
        """End it, and all that it has started: it leads a session of its own."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    def _tell(self, content: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(content).encode() + b"\n")

    async def _answer(self) -> tuple[str, Any]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        if not line.endswith(b"\n"):
            return "dead", None
        kind, content = json.loads(line)
        return kind, content

    async def _death(self) -> str:
        code = await self._process.wait()
        with contextlib.suppress(ValueError):
            return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"
        return f"was killed by signal {-code}"
