"""A worker process, as the supervisor sees it."""

import asyncio
import contextlib
import os
import re
import resource
import signal
import sys
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Self

from emopipe.pipeline.access.folder import with_temporary_files
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.runtime.channel import Endpoint
from emopipe.pipeline.runtime.control import STACKS_SIGNAL
from emopipe.pipeline.text import count

DESCRIPTORS = 32  # the supervisor's own, and what is open for a moment where a process dies and another begins
DESCRIPTORS_PER_WORKER = 4
STACKS_TIMEOUT_S = 0.2  # for that; one that is stopped by a signal does not
KEPT_LINES = 20  # of its standard error are shown when it dies without a word
IDLE_FILES = ("selectors.py", "threading.py", "thread.py", "queue.py")  # where a thread waits for work
IDLE_FUNCTIONS = (("_exit_with_parent", "worker.py"), ("_work", "resources.py"))  # of our own
MAX_LINE_BYTES = 2000  # of each: a progress bar may never end its line


def need_descriptors(workers: int) -> None:
    """Let this process open as many files as that many workers take, if the system allows it.

    Raises:
        EmopipeError: it does not; where ZeroMQ notices, it aborts.
    """
    needed = DESCRIPTORS + DESCRIPTORS_PER_WORKER * workers
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if hard != unlimited and hard < needed:
        run = f"a run in {count(workers, 'process')}"
        raise EmopipeError(f"{run} needs {needed} open files, but only {hard} are allowed; see ulimit -n")
    if soft != unlimited and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))


class Stacks(NamedTuple):
    """Where the threads of a process are: `place` is the innermost of the stage's own or main thread's frames."""

    text: str
    place: str


class WorkerProcess(asyncio.SubprocessProtocol):
    """A worker process, as the supervisor sees it: the last it wrote to standard error, and its end.

    A protocol and not `asyncio.subprocess.Process`, whose `wait` does not return while a child of the worker's own
    holds its standard error open.
    """

    wait: float | None = None
    missing = ""
    verdict = 0.0

    def __init__(self, name: str, stages: Sequence[str], stacks: Path, *, verbose: bool) -> None:
        self.name = name
        self.stages = stages
        self._stacks = stacks
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._verbose = verbose
        self._lines: deque[bytes] = deque([b""], maxlen=KEPT_LINES)
        self._silent = asyncio.Event()  # standard error is closed
        self._transport: asyncio.SubprocessTransport

    @classmethod
    async def spawn(cls, name: str, stages: Sequence[str], endpoint: Endpoint, *, folder: Path, verbose: bool) -> Self:
        """Start the process `name` with these stages.

        `endpoint` is where it finds the supervisor, `folder` the place for the stacks of its threads and its temporary
        files.
        """
        stacks = folder / f"stacks-{name}"
        stacks.unlink(missing_ok=True)  # of one before this
        transport, worker = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(name, stages, stacks, verbose=verbose),
            sys.executable,
            "-P",  # a folder `stages` or `models` where the user stands must not stand in for ours
            "-m",
            "emopipe.pipeline.runtime.worker",
            endpoint.address,
            stacks,
            name,
            env=with_temporary_files(folder),
            stdin=asyncio.subprocess.PIPE,  # its closing tells the worker that we are gone
            stdout=None,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C reaches us alone
        )
        keyhole = transport.get_pipe_transport(0)
        assert isinstance(keyhole, asyncio.WriteTransport)
        keyhole.write(f"{endpoint.key}\n".encode())  # others could read it among the arguments
        return worker

    @property
    def pid(self) -> int:
        return self._transport.get_pid()

    @property
    def title(self) -> str:
        """`stage faces`, or all stages that are in it."""
        return f"{'stage' if len(self.stages) == 1 else 'stages'} {', '.join(self.stages)}"

    def heard(self, message: object) -> None:
        """The system tells when it has ended."""

    async def stacks(self) -> Stacks:
        """The stacks of its threads now; empty where it cannot write them, stopped or not begun yet."""
        if not self._stacks.exists():  # it would die of the signal
            return Stacks("", "")
        before = self._stacks.stat().st_size
        os.kill(self.pid, STACKS_SIGNAL)
        await asyncio.sleep(STACKS_TIMEOUT_S)
        with contextlib.suppress(OSError):
            text = self._stacks.read_bytes()[before:].decode(errors="replace")
            return Stacks(text, _innermost(text))
        return Stacks("", "")

    async def exit_report(self, code: int) -> str:
        """How it has ended, for the user."""
        how = f"was killed by {_signal_name(-code)}" if code < 0 else f"exited with code {code}"
        last = "".join(f"\n  {text}" for text in await self._last_lines() if code > 0)
        return f"the process {how}{last}"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport = transport

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if self._verbose:
            sys.stderr.write(data.decode(errors="replace"))
        first, *lines = data.split(b"\n")
        self._lines[-1] = (self._lines[-1] + first)[-MAX_LINE_BYTES:]
        self._lines.extend(lines)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 2:
            self._silent.set()

    def process_exited(self) -> None:
        self.kill()  # what it has started itself must not outlive it
        code = self._transport.get_returncode()
        assert code is not None
        self.exited.set_result(code)

    async def _last_lines(self) -> list[str]:
        """Of a process that has exited."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.2):
                await self._silent.wait()
        return [line.decode(errors="replace").rstrip() for line in self._lines if line]

    def kill(self) -> None:
        """The process and all that it has started: it leads a session of its own."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._transport.get_pid(), signal.SIGKILL)

    def close(self) -> None:
        self._transport.close()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def _innermost(stacks: str) -> str:
    """`work (stage.py:12)`: where the main thread is, or if it only waits for events, where a thread of a stage is."""
    threads = [re.findall(r'File "([^"]*)", line (\d+) in (.*)', each) for each in stacks.split("hread 0x")]
    frames = [(Path(thread[0][0]).name, *thread[0][1:]) for thread in reversed(threads) if thread]
    busy = [frame for frame in frames if frame[0] not in IDLE_FILES and (frame[2], frame[0]) not in IDLE_FUNCTIONS]
    return next((f"{function} ({file}:{line})" for file, line, function in busy), "")
