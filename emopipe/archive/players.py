"""Who plays the recordings of an archive: processes with warm models, on this host."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import msgspec

from emopipe.archive.job import MODULE
from emopipe.archive.ledger import Entry, Word
from emopipe.archive.replay import Order, Stopped
from emopipe.pipeline.errors import StageFailed
from emopipe.pipeline.graph.process_layout import cores

HANG_TIMEOUT_S = 300.0  # without a message taken by any stage
MAX_LINE_BYTES = 16 << 20
MALLOC_ARENAS = "2"  # each recording has new threads, and glibc keeps memory for each that there ever was


class Loss(NamedTuple):
    """Why nothing is known of a recording: whoever played it has died with it, or came to nothing for too long."""

    word: Word
    text: str


class Player(Protocol):
    """Who plays one recording after the other.

    Attributes:
        usable: whether it takes another recording.
    """

    usable: bool

    async def replay(self, recording: str) -> Entry | Loss:
        """What became of a recording.

        Raises:
            Stopped: no other one can be played either.
        """

    async def end(self) -> None:
        """End it, and all that it has started."""


class Players(Protocol):
    """Where players are to be had; a context manager.

    Attributes:
        cores: how many play at once where nobody says how many.
    """

    cores: int

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    async def start(self, number: int) -> Player:
        """The player of that number, the one before having ended.

        Raises:
            EmopipeError: it does not start.
        """


class LocalPlayers:
    """Processes of this host.

    Args:
        order: of the archive.
        folder: for what is under way.
        verbose: pass on what the processes log.
    """

    def __init__(self, order: Order, folder: Path, *, verbose: bool = False) -> None:
        self._order = order
        self._folder = folder
        self._verbose = verbose
        self.cores = cores()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Players end by themselves."""

    async def start(self, number: int) -> "PlayerProcess":
        return await PlayerProcess.start(self._order, self._folder / f"job-{number}", verbose=self._verbose)


class PlayerProcess:
    """A process of this host that plays."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.usable = True

    @classmethod
    async def start(cls, order: Order, folder: Path, *, verbose: bool) -> Self:
        """Start a process.

        Args:
            folder: for what is under way.

        Raises:
            StageFailed: it ends before it is ready.
        """
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

    async def replay(self, recording: str) -> Entry | Loss:
        self._tell(recording)
        while True:
            try:
                async with asyncio.timeout(HANG_TIMEOUT_S):
                    kind, content = await self._answer()
            except TimeoutError:
                self.usable = False
                return Loss("hung", f"no stage has got on for {HANG_TIMEOUT_S:g} s")
            match kind:
                case "entry":
                    entry = msgspec.convert(content, Entry)
                    self.usable = entry.word != "error"
                    return entry
                case "stop":
                    raise Stopped(content)
                case "dead":
                    self.usable = False
                    return Loss("crashed", f"the process that played it {await self._death()}")

    async def end(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)  # it leads a session of its own
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
