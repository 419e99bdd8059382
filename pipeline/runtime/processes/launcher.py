"""Where the processes of a run come from: what the supervisor asks of whoever starts them, and of each of them."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from emopipe.pipeline.graph.spec import Graph
from emopipe.pipeline.runtime import control
from emopipe.pipeline.runtime.channel import Endpoint
from emopipe.pipeline.runtime.processes.process import Stacks, WorkerProcess
from emopipe.pipeline.runtime.processes.remote_process import RemoteWorkerProcess


class Place(Protocol):
    """A worker process as the supervisor sees it, wherever it runs.

    Attributes:
        name: of the process.
        stages: that are in it.
        exited: set, with its exit code, when it has ended; below 0 where it was killed or is lost.
        wait: s that it has until it says hello; None where it has as long as the whole start.
        missing: what to say where it has not come by then.
        verdict: s within which `exited` says so where its neighbours have lost it; 0 where they know best.
    """

    name: str
    stages: Sequence[str]
    exited: asyncio.Future[int]
    wait: float | None
    missing: str
    verdict: float

    @property
    def pid(self) -> int:
        """Its process id on this host; 0 where it runs on another."""

    @property
    def title(self) -> str:
        """What to call it."""

    def heard(self, message: control.Hello | control.Closed) -> None:
        """It has come, or is at its end."""

    async def stacks(self) -> Stacks:
        """The stacks of its threads now; empty where nobody can tell."""

    async def exit_report(self, code: int) -> str:
        """How it has ended, for the user."""

    def kill(self) -> None:
        """End it, and all that it has started, at once."""

    def close(self) -> None:
        """Let go of what is left of one that has ended."""


class Launcher(Protocol):
    """Starts the processes of one run; an asynchronous context manager, which leaves none behind."""

    async def __aenter__(self) -> "Launcher":
        """Raises: EmopipeError: where they are to run cannot be reached."""

    async def __aexit__(self, *raised: object) -> None: ...

    async def place(self, graph: Graph) -> Graph:
        """The graph, with the processes that are to run on other hosts; before each attempt to play it.

        Raises:
            EmopipeError: there is no place for one.
        """

    async def spawn(self, name: str, graph: Graph, endpoint: Endpoint, folder: Path, *, verbose: bool) -> Place:
        """Start a process of a graph that was placed.

        Args:
            endpoint: where it finds the supervisor, and by which key; of one on another host `key` is its own.
            folder: for sockets and temporary files, on this host.
            verbose: pass its standard error through.

        Raises:
            EmopipeError: it cannot be started.
        """


class LocalLauncher:
    """Starts processes on this host, and takes those that somebody starts on another by `emopipe worker`."""

    async def __aenter__(self) -> "LocalLauncher":
        return self

    async def __aexit__(self, *raised: object) -> None:
        """Each process has been killed by whoever asked for it."""

    async def place(self, graph: Graph) -> Graph:
        return graph

    async def spawn(self, name: str, graph: Graph, endpoint: Endpoint, folder: Path, *, verbose: bool) -> Place:
        stages = graph.processes[name]
        if name in graph.remote.processes:
            return RemoteWorkerProcess(name, stages, graph.remote.processes[name], graph.remote.endpoint)
        return await WorkerProcess.spawn(name, stages, endpoint, folder=folder, verbose=verbose)
