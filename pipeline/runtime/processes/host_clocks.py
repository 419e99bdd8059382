"""The clocks of a run's other hosts: set by ours before it plays, and watched while it does."""

import asyncio
from collections.abc import Callable, Mapping

from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.load import Graph
from emopipe.pipeline.runtime import control
from emopipe.pipeline.runtime.remote_host import clock_id
from emopipe.pipeline.runtime.result import RunWarning
from emopipe.pipeline.supervision.clocks import WATCH_INTERVAL_S, Clocks


class HostClocks:
    """Those of the processes that are on other hosts.

    Args:
        send: tells a process something.
        warned: called with each warning.
    """

    def __init__(
        self, graph: Graph, send: Callable[[str, control.ToWorker], None], warned: Callable[[RunWarning], None]
    ) -> None:
        self._graph = graph
        self._send = send
        self._warned = warned
        self._clocks = Clocks(lambda name, asked: send(name, control.AskClock(asked)))
        self._told = asyncio.Event()

    async def compare(self, clocks: Mapping[str, str]) -> None:
        """Set those of other hosts by ours; `clocks` says which run by one (`remote_host.clock_id`).

        Raises:
            EmopipeError: one is not known well enough to play live.
        """
        own = clock_id()
        for name, clock in clocks.items():
            if clock != own:
                self._clocks.add(name)
        while not self._clocks.compared:
            self._told.clear()
            self._clocks.ask()
            await self._told.wait()
        for name, text in self._uncertain().items():
            remedy = "a nearer host or a quieter network makes it better; so does a larger latency_budget"
            raise EmopipeError(f"{self._graph.path}: process {name}: {text}; {remedy}")
        for name, shift in self._clocks.shifts.items():
            self._send(name, control.SetClock(shift))

    async def watch(self) -> None:
        """Notice when they drift; their ages are not corrected while they play."""
        warned: set[str] = set()
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            self._clocks.ask()
            for name, text in self._uncertain().items():
                if name not in warned:
                    warned.add(name)
                    self._warned(RunWarning(self._graph.processes[name][0], text, damage=False))

    def told(self, name: str, asked: int, clock: int) -> None:
        """A process has answered."""
        self._clocks.told(name, asked, clock)
        self._told.set()

    def error(self, name: str) -> int:
        """By how much a process' times may be wrong (ns); 0 on this host."""
        return self._clocks.error(name)

    def _uncertain(self) -> dict[str, str]:
        return self._clocks.uncertain(self._graph.latency_budget) if self._graph.mode == "live" else {}
