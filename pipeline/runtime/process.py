"""A worker process, as the supervisor sees it."""

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections import deque
from collections.abc import Sequence
from typing import Self

from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.runtime.channel import Endpoint
from emopipe.pipeline.text import count

DESCRIPTORS = 20  # the supervisor's own
DESCRIPTORS_PER_WORKER = 3
KEPT_LINES = 20  # of its standard error are shown when it dies without a word
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


class WorkerProcess(asyncio.SubprocessProtocol):
    """A worker process, as the supervisor sees it: the last it wrote to standard error, and its end.

    A protocol and not `asyncio.subprocess.Process`, whose `wait` does not return while a child of the worker's own
    holds its standard error open.
    """

    def __init__(self, name: str, stages: Sequence[str], *, verbose: bool) -> None:
        self.name = name
        self.stages = stages
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._verbose = verbose
        self._lines: deque[bytes] = deque([b""], maxlen=KEPT_LINES)
        self._silent = asyncio.Event()  # standard error is closed
        self._transport: asyncio.SubprocessTransport

    @classmethod
    async def spawn(cls, name: str, stages: Sequence[str], endpoint: Endpoint, *, verbose: bool) -> Self:
        """Start the process `name` with these stages; `endpoint` is where it finds the supervisor."""
        transport, worker = await asyncio.get_running_loop().subprocess_exec(
            lambda: cls(name, stages, verbose=verbose),
            sys.executable,
            "-P",  # a folder `stages` or `models` where the user stands must not stand in for ours
            "-m",
            "emopipe.pipeline.runtime.worker",
            endpoint.address,
            name,
            stdin=asyncio.subprocess.PIPE,  # its closing tells the worker that we are gone
            stdout=None,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # a terminal's Ctrl-C reaches us alone
        )
        keyhole = transport.get_pipe_transport(0)
        assert isinstance(keyhole, asyncio.WriteTransport)
        keyhole.write(f"{endpoint.key}\n".encode())  # others could read it among the arguments
        return worker

    async def exit_report(self, code: int) -> str:
        """Which stages died with the process, and how, for the user."""
        noun = "stage" if len(self.stages) == 1 else "stages"
        how = f"was killed by {_signal_name(-code)}" if code < 0 else f"exited with code {code}"
        last = "".join(f"\n  {text}" for text in await self._last_lines() if code > 0)
        return f"{noun} {', '.join(self.stages)}: the process {how}{last}"

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
