"""Runs a graph: one worker process a process group, watched, restarted by policy, and stopped without leftovers.

In replay mode all workers are replaced where one is lost, and the graph begins anew: with the first stream
that is not done for good, and sinks that go on from what they have written (docs/guarantees.md).
"""

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path

from emopipe.pipeline.access.endpoint import read_keys
from emopipe.pipeline.access.folder import run_folder
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import EmopipeError, StageFailed
from emopipe.pipeline.files import Journal
from emopipe.pipeline.graph.load import Graph
from emopipe.pipeline.graph.memory import free_memory_mb, shortage
from emopipe.pipeline.graph.shards import sharded
from emopipe.pipeline.report import Interruption, ProcessReport, Report, RunSnapshot, RunState
from emopipe.pipeline.runtime import control
from emopipe.pipeline.runtime.host import FINISHED, JOURNAL_SUFFIX
from emopipe.pipeline.runtime.processes.launcher import Launcher, LocalLauncher
from emopipe.pipeline.runtime.processes.preparation import Places
from emopipe.pipeline.runtime.processes.process import need_descriptors
from emopipe.pipeline.runtime.processes.workers import Workers
from emopipe.pipeline.runtime.result import RunListener, RunResult, RunWarning, snapshot
from emopipe.pipeline.supervision.restarts import Failure, Restart, RestartPolicy
from emopipe.pipeline.supervision.settings import strictest
from emopipe.pipeline.telemetry.status import STATUS_INTERVAL_S, StatusServer
from emopipe.pipeline.telemetry.trace import TraceEvent, TraceWriter
from emopipe.pipeline.telemetry.usage import Usage

DRAIN_TIMEOUT_S = 10.0  # for the stages to end after their sources, and to close: there may be files to finish


class Supervisor(RunListener):
    """Runs one graph once.

    Args:
        graph: checked.
        updated: called with the result so far whenever a worker has reported.
        warned: called with each warning, again when it was repeated 10, 100, 1000 … times.
        trace: where to write down what every stage takes and sends; the caller closes it.
        state: an existing folder for the journals of sinks: a run that finds some there goes on from them. One of the
            run's own where not given.
        launcher: who starts the processes; those of this host where not given.
        verbose: pass the workers' standard error and the tracebacks of failed stages through.

    Raises:
        EmopipeError: too few files may be open at a time.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        updated: Callable[[RunResult], None] = lambda result: None,
        warned: Callable[[RunWarning], None] = lambda warning: None,
        trace: TraceWriter | None = None,
        state: Path | None = None,
        launcher: Launcher | None = None,
        verbose: bool = False,
    ) -> None:
        graph = sharded(graph)
        need_descriptors(len(graph.processes))
        self._graph = graph
        self._updated = updated
        self._tell = warned
        self._trace = trace
        self._state = state
        self._launcher = launcher or LocalLauncher()
        self._verbose = verbose
        self._result = RunResult()
        self._policies = {
            process: RestartPolicy(strictest(graph.stages[name].supervision for name in names))
            for process, names in graph.processes.items()
        }
        self._restartable = not graph.unrepeatable
        self._interruption: Interruption | None = None  # after which a live run has begun anew
        self._interrupted = 0  # monotonic ns, when it began
        self._epochs: dict[str, int] = {}  # in which the streams of a live run go on
        self._began = 0  # monotonic ns, when stages began to play
        self._workers: Workers | None = None
        self._usage = Usage()

    async def run(self) -> RunResult:
        """Play the graph to its end.

        Raises:
            EmopipeError: a stage could not be set up, or failed, for a reason the user can mend (exit code 2).
            StageFailed: a stage died, and was not restarted, or once too often (exit code 1).
            asyncio.CancelledError: this task was cancelled; every worker is gone all the same.
        """
        with run_folder() as folder, self._serve_status(folder) as server:
            publishing = asyncio.create_task(self._publish_status(server))
            if too_little := shortage(self._graph, free_memory_mb()):
                self.warned(RunWarning(next(iter(self._graph.stages)), too_little, damage=False))
            try:
                async with self._launcher:
                    places = Places(sockets=folder, state=self._state or folder / "state")
                    while (wait := await self._attempt(places)) is not None:
                        await asyncio.sleep(wait)
            finally:
                publishing.cancel()
        self._result.complete((time.monotonic_ns() - self._began) / SECOND)
        return self._result

    def snapshot(self) -> RunSnapshot:
        """All that is known of the run now."""
        workers = self._workers
        state: RunState = "loading"
        if workers is not None and (workers.playing or workers.closing):
            state = "playing" if workers.playing else "ending"
        return snapshot(
            self._graph, self._result, self._usage.sample(), state, self._began or (workers.base_time if workers else 0)
        )

    def drain(self) -> bool:
        """End the sources, so that the run ends by itself, with whole files; False where it does not play yet.

        A run that closes its stages already goes on with that; one that plays `DRAIN_TIMEOUT_S` seconds later has
        failed. Nothing is restarted from here on.
        """
        workers = self._workers
        if workers is None:
            return False
        if workers.playing:
            self._restartable = False
            workers.send_all(control.Drain())
            asyncio.get_running_loop().call_later(DRAIN_TIMEOUT_S, self._on_drain_timeout, workers)
        return workers.playing or workers.closing

    def _on_drain_timeout(self, workers: Workers) -> None:
        if workers.playing:
            reports = self._result.reports
            busy = [name for name in self._graph.stages if name not in reports or not reports[name].ended]
            still = (
                f"not at an end {DRAIN_TIMEOUT_S:g} s after its sources: {', '.join(busy)}; what they write may be cut"
            )
            workers.fail(StageFailed(f"{self._graph.path}: {still}"))

    # -- attempts --------------------------------------------------------------------------------------------

    async def _attempt(self, places: Places) -> float | None:
        """Play with new workers; None once all is played, else the wait (s) until the graph is begun anew.

        Raises:
            EmopipeError: one has failed, and nothing is begun anew.
        """
        finished = _finished_streams(self._graph, places.state)
        workers = self._workers = Workers(
            await self._launcher.place(self._graph),
            places,
            self,
            self._launcher,
            finished,
            self._epochs,
            rejoins=self._rejoins,
            traced=self._trace is not None,
            verbose=self._verbose,
        )
        playing = asyncio.create_task(workers.play(self.snapshot, partial(self._begin, workers)))
        wait: float | None = None
        try:
            await asyncio.wait({playing, workers.failure}, return_when=asyncio.FIRST_COMPLETED)
            if workers.failure.done():
                workers.failure.result()
            await playing
        except Failure as failure:
            wait = self._wait(failure, workers)
        finally:
            if workers.base_time:
                self._began = self._began or workers.base_time
                self._result.restarted(workers.base_time)
            playing.cancel()
            await _uninterrupted(_end(workers, playing, at_once=wait is not None))
        return wait

    def _begin(self, workers: Workers) -> None:
        """All are about to play: say what is missing, where they have done so before, ahead of the first that comes."""
        self._usage.start()
        if self._interruption is not None:
            self._interruption.seconds = (workers.base_time - self._interrupted) / SECOND
            workers.send_all(control.Rejoined(self._interruption, {}, {}))

    def _wait(self, failure: Failure, workers: Workers) -> float:
        """The wait (s) until the graph is begun anew after a failure, which is taken down.

        Raises:
            EmopipeError: it is not.
        """
        if self._verbose and failure.detail:
            print(failure.detail, file=sys.stderr)
        now = time.monotonic_ns()
        policy = self._policies[failure.process]
        wait = policy.wait(failure, now / SECOND, playing=workers.playing) if self._restartable else None
        if wait is None:
            kind = StageFailed if failure.exit_code == StageFailed.exit_code else EmopipeError
            raise kind("; ".join(filter(None, [str(failure), policy.refusal]))) from None
        live = self._graph.mode == "live"
        if live:
            self._interrupt(failure, now, played=workers.base_time > 0)
        self._result.begin_anew(self._restart(failure, now), since=self._began or workers.base_time)
        how = "everything begins anew" if live else "the replay begins anew, nothing is lost"
        self._warn(failure, how)
        self._updated(self._result)
        return wait

    def _interrupt(self, failure: Failure, now: int, *, played: bool) -> None:
        """All streams go on in a new epoch; what is missing of them counts from where somebody `played` last."""
        links = [counts for report in self._result.reports.values() for counts in report.links.values()]
        streams = sorted(self._epochs.keys() | {stream for counts in links for stream in counts.streams})
        self._epochs = {stream: self._epochs.get(stream, 0) + 1 for stream in streams}
        if played:
            self._interrupted = now
        stages = self._graph.processes[failure.process]
        self._interruption = Interruption(stages=stages, reason=failure.reason, seconds=0.0, epochs=self._epochs)

    def _rejoins(self, failure: Failure) -> float | None:
        """The wait (s) until a process that has failed in live mode comes back by itself; None where it does not."""
        if self._graph.mode != "live" or not self._restartable:
            return None
        now = time.monotonic_ns()
        wait = self._policies[failure.process].wait(failure, now / SECOND, playing=True)
        if wait is not None:
            began = self._workers.base_time if self._workers is not None else 0
            self._result.add_restart(self._restart(failure, now), since=self._began or began)
            self._warn(failure, "it is restarted")
        return wait

    def _restart(self, failure: Failure, now: int) -> Restart:
        return Restart(stages=self._graph.processes[failure.process], reason=failure.reason, failed=now)

    def _warn(self, failure: Failure, how: str) -> None:
        stage = self._graph.processes[failure.process][0]
        self.warned(RunWarning(stage, f"{failure.reason}; {how}", damage=False))

    # -- what the workers say -----------------------------------------------------------------------------------

    def reported(self, name: str, process: ProcessReport, reports: list[Report]) -> None:
        self._result.report(name, process, reports)
        self._updated(self._result)

    def traced(self, name: str, events: list[TraceEvent], lost: int) -> None:
        if self._trace is not None:
            process = self._result.processes[name]
            self._trace.add(name, process.pid, events, lost, process.clock_error)

    def warned(self, warning: RunWarning) -> None:
        if (told := self._result.add_warning(warning)) is not None:
            self._tell(told)

    def refused(self, count: int) -> None:
        self._result.refused = count + sum(report.refused for report in self._result.reports.values())

    def rejoined(self, interruption: Interruption) -> None:
        self._result.restarted(time.monotonic_ns())
        self._epochs |= interruption.epochs
        stage, *_ = interruption.stages
        self.warned(RunWarning(stage, f"is back after {interruption.seconds:.1f} s without it", damage=False))

    # -- who watches from outside ----------------------------------------------------------------------------

    def _serve_status(self, folder: Path) -> StatusServer:
        """Raises: EmopipeError: the graph's address for it is in use, or not this machine's."""
        monitoring = self._graph.monitoring
        keys = read_keys(monitoring.secret_key, monitoring.allow) if monitoring.status is not None else None
        try:
            return StatusServer(folder, monitoring.status, keys)
        except EmopipeError as error:
            raise EmopipeError(f"{self._graph.path}: pipeline.status: {error}") from None

    async def _publish_status(self, server: StatusServer) -> None:
        """Publish how the run is doing, for whoever watches from outside."""
        while True:
            server.publish(self.snapshot())
            await asyncio.sleep(STATUS_INTERVAL_S)


def _finished_streams(graph: Graph, state: Path) -> list[str]:
    """The streams that every sink has done for good, as far as all of them can go on from what they left behind."""
    sinks = [spec for spec in graph.stages.values() if not spec.cls.outputs]
    if not all(spec.cls.resumes for spec in sinks):
        return []
    done = [Journal(state / f"{spec.name}{JOURNAL_SUFFIX}").starting(FINISHED) for spec in sinks]
    return sorted(set.intersection(*map(set, done)))


async def _end(workers: Workers, playing: asyncio.Task[None], *, at_once: bool) -> None:
    await asyncio.gather(playing, return_exceptions=True)
    await workers.stop(at_once=at_once)


async def _uninterrupted(work: Coroutine[None, None, None]) -> None:
    """Await `work` even when cancelled meanwhile (Ctrl-C while a run ends); the cancellation follows."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled
