"""Looks after worker processes: warns about, or kills, who is silent or busy for too long or takes too much memory."""

import asyncio
from collections.abc import Callable, Mapping

from emopipe.pipeline.graph.load import Graph
from emopipe.pipeline.runtime.processes.launcher import Place
from emopipe.pipeline.runtime.result import RunWarning
from emopipe.pipeline.supervision.restarts import Failure
from emopipe.pipeline.supervision.settings import strictest
from emopipe.pipeline.supervision.watchdog import Alarm, Watchdog, is_stopped, resident_memory

TICK_S = 0.25


class ProcessWatch:
    """A watchdog for each process of a graph.

    Args:
        processes: that there are, by name; others may take their places meanwhile.
        warned: called with each warning.
    """

    def __init__(self, graph: Graph, processes: Mapping[str, Place], warned: Callable[[RunWarning], None]) -> None:
        self._graph = graph
        self._processes = processes
        self._warned = warned
        self._watchdogs: dict[str, Watchdog] = {}
        self._killed: dict[str, Failure] = {}  # by us, and why

    def begin(self, name: str) -> None:
        """A process starts."""
        stages = [self._graph.stages[stage] for stage in self._graph.processes[name]]
        self._watchdogs[name] = Watchdog(
            strictest(stage.supervision for stage in stages), TICK_S, patient=any(stage.cls.patient for stage in stages)
        )

    def __getitem__(self, name: str) -> Watchdog:
        return self._watchdogs[name]

    def killed(self, name: str) -> Failure | None:
        """Why it was killed here; None if it has ended otherwise."""
        return self._killed.pop(name, None)

    async def run(self) -> None:
        """Look after every process, several times a second."""
        while True:
            await asyncio.sleep(TICK_S)
            for name, worker in list(self._processes.items()):
                if worker.exited.done():
                    continue
                watchdog = self._watchdogs[name]
                alarm = watchdog.tick(stopped=is_stopped(worker.pid), memory=resident_memory(worker.pid))
                if alarm is not None and name not in self._killed:
                    await self._on_alarm(worker, alarm)

    async def _on_alarm(self, worker: Place, alarm: Alarm) -> None:
        if alarm.action == "warn":
            self._warned(RunWarning(alarm.stage or worker.stages[0], alarm.text, damage=False))
            return
        # Only now: a thread that runs meanwhile may crash the process that writes the stacks of all.
        stacks = await worker.stacks()
        at = f" at {stacks.place}" if stacks.place else ""
        reason = f"{alarm.text}{at}; the process was killed"
        self._killed[worker.name] = Failure(worker.name, worker.title, reason, detail=stacks.text)
        worker.kill()
