"""Runs a graph: one worker process a process group, started in order, watched, and stopped without leftovers.

start   spawn every worker → all inputs bound → outputs connected, stages set up → play
end     every stage has ended (EOS has drained through the graph), or one has failed, or somebody said stop
stop    ask each worker to close its stages; whoever is still there after STOP_TIMEOUT_S seconds is killed
"""

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

import msgspec
import zmq

from emopipe.pipeline.access.endpoint import read_keys
from emopipe.pipeline.access.folder import run_folder
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import EmopipeError, StageFailed
from emopipe.pipeline.graph.load import Graph
from emopipe.pipeline.graph.registry import import_path
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.report import RunSnapshot, RunState
from emopipe.pipeline.runtime import control
from emopipe.pipeline.runtime.channel import BoundChannel, Endpoint, Parts, new_key
from emopipe.pipeline.runtime.control import StagePlan
from emopipe.pipeline.runtime.process import WorkerProcess, need_descriptors
from emopipe.pipeline.runtime.result import RunResult, RunWarning, snapshot
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.telemetry.status import STATUS_INTERVAL_S, StatusServer
from emopipe.pipeline.telemetry.trace import TraceWriter
from emopipe.pipeline.telemetry.usage import Usage

STOP_TIMEOUT_S = 1.0  # for a worker to close its stages; with the kill it stays well under two seconds
FOLDER_INTERVAL_S = 0.5
CONTROL_WINDOW_MESSAGES = 1000
START_TIMEOUT_S = 180.0  # for all stages to be ready, besides what they wait for others
DRAIN_TIMEOUT_S = 10.0  # for the stages to end after their sources, and to close: there may be files to finish


class Supervisor:
    """Runs one graph once.

    Args:
        graph: checked.
        updated: called with the result so far whenever a worker has reported.
        warned: called with each warning, again when it was repeated 10, 100, 1000 … times.
        trace: where to write down what every stage takes and sends; the caller closes it.
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
        verbose: bool = False,
    ) -> None:
        need_descriptors(len(graph.processes))
        self._graph = graph
        self._updated = updated
        self._warned = warned
        self._trace = trace
        self._verbose = verbose
        self._result = RunResult()
        self._workers: dict[str, WorkerProcess] = {}
        self._steps: dict[str, asyncio.Queue[control.FromWorker]] = defaultdict(asyncio.Queue)
        self._failure: asyncio.Future[None]
        self._channel: BoundChannel
        self._keys = {new_key(): name for name in graph.processes}
        self._loading: dict[str, str] = {}  # what each worker is busy with during the start
        self._watching: list[asyncio.Task[None]] = []
        self._closing = False  # all has ended: a worker may exit
        self._playing = False
        self._base_time = 0
        self._usage = Usage()
        self._stopping = False  # whatever happens to a worker now, we do it

    async def run(self) -> RunResult:
        """Play the graph to its end.

        Raises:
            EmopipeError: a stage could not be set up, or failed, for a reason the user can mend (exit code 2).
            StageFailed: a stage died (exit code 1).
            asyncio.CancelledError: this task was cancelled; every worker is gone all the same.
        """
        self._failure = asyncio.get_running_loop().create_future()
        with run_folder() as folder, self._serve_status(folder) as server:
            context = zmq.Context()
            self._channel = BoundChannel(
                context, f"ipc://{folder}/control", self._keys, self._received, window=CONTROL_WINDOW_MESSAGES
            )
            playing = asyncio.create_task(self._play(folder))
            publishing = asyncio.create_task(self._publish_status(server))
            try:
                await asyncio.wait({playing, self._failure}, return_when=asyncio.FIRST_COMPLETED)
                if self._failure.done():
                    self._failure.result()
                await playing
            finally:
                try:
                    await _uninterrupted(self._stop(playing))
                finally:
                    publishing.cancel()
                    self._failure.cancel()
                    self._channel.close()
                    context.term()
        return self._result

    def snapshot(self) -> RunSnapshot:
        """All that is known of the run now."""
        state: RunState = "playing" if self._playing else "ending" if self._closing else "loading"
        return snapshot(self._graph, self._result, self._usage.sample(), state, self._base_time)

    def drain(self) -> bool:
        """End the sources, so that the run ends by itself, with whole files; False where it does not play yet.

        A run that closes its stages already goes on with that; one that plays `DRAIN_TIMEOUT_S` seconds later has
        failed.
        """
        if self._playing:
            for name in self._workers:
                self._send(name, control.Drain())
            asyncio.get_running_loop().call_later(DRAIN_TIMEOUT_S, self._on_drain_timeout)
        return self._playing or self._closing

    def _on_drain_timeout(self) -> None:
        if self._playing:
            reports = self._result.reports
            busy = [name for name in self._graph.stages if name not in reports or not reports[name].ended]
            still = (
                f"not at an end {DRAIN_TIMEOUT_S:g} s after its sources: {', '.join(busy)}; what they write may be cut"
            )
            self._fail(StageFailed(f"{self._graph.path}: {still}"))

    # -- the life of a run -----------------------------------------------------------------------------------

    async def _play(self, folder: Path) -> None:
        limit = START_TIMEOUT_S + sum(stage.settings.waits() for stage in self._graph.stages.values())
        watching = asyncio.create_task(self._watch_folder(folder))
        try:
            async with asyncio.timeout(limit):
                await self._start(folder)
        except TimeoutError:
            busy = ", ".join(stage for stage in self._loading.values() if stage)
            raise StageFailed(f"{self._graph.path}: not ready within {limit:g} s: {busy}") from None
        finally:
            watching.cancel()
        self._usage.start()
        self._base_time = base_time = time.monotonic_ns()
        for name in self._workers:
            self._send(name, control.Play(base_time))
        self._playing = True
        telling = asyncio.create_task(self._send_status())
        try:
            await self._each(control.Finished)
        finally:
            telling.cancel()
            self._playing = False
        self._result.seconds = (time.monotonic_ns() - base_time) / SECOND
        self._closing = True
        for name in self._workers:
            self._send(name, control.Stop())
        try:
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                await self._each(control.Closed)
        except TimeoutError:
            raise StageFailed(
                f"the stages did not close within {DRAIN_TIMEOUT_S:g} s; what they write may be cut"
            ) from None

    async def _start(self, folder: Path) -> None:
        """Bring every worker up, and all stages to where they can play."""
        groups = self._graph.processes
        for key, name in self._keys.items():
            self._loading[name] = ", ".join(groups[name])
            worker = await WorkerProcess.spawn(
                name, groups[name], Endpoint(self._channel.address, key), verbose=self._verbose
            )
            self._workers[name] = worker
            self._watching.append(asyncio.create_task(self._watch(worker)))
        await self._each(control.Hello)
        try:
            for number, (name, stages) in enumerate(groups.items()):
                self._send(name, self._plan(stages, f"ipc://{folder}/{number}-"))
        except UnicodeEncodeError as error:
            remedy = "rename the file or key"
            raise EmopipeError(f"{self._graph.path}: {error.object!r} is not UTF-8; {remedy}") from None
        endpoints: dict[LinkId, Endpoint] = {}
        for bound in await self._each(control.Bound):
            assert isinstance(bound, control.Bound)
            endpoints |= bound.endpoints
        for name in groups:
            self._send(name, control.Connect(endpoints))
        await self._each(control.Ready)

    async def _watch_folder(self, folder: Path) -> None:
        """Notice when somebody cleans up while sockets are still to be bound and found there."""
        while await asyncio.to_thread(folder.exists):
            await asyncio.sleep(FOLDER_INTERVAL_S)
        remedy = "set TMPDIR to a folder that nobody cleans meanwhile"
        self._fail(StageFailed(f"{self._graph.path}: {folder} has vanished while the stages were loading; {remedy}"))

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

    async def _send_status(self) -> None:
        """Send it round to the stages that watch."""
        stages = self._graph.stages.values()
        watching = {stage.process for stage in stages if stage.cls.status is not Stage.status}
        while watching:
            await asyncio.sleep(STATUS_INTERVAL_S)
            for name in watching:
                self._send(name, control.Status(self.snapshot()))

    async def _watch(self, worker: WorkerProcess) -> None:
        """Notice when it ends before its time."""
        code = await worker.exited
        if self._stopping or (self._closing and code == 0):
            return
        self._fail(StageFailed(await worker.exit_report(code)))

    async def _stop(self, playing: asyncio.Task[None]) -> None:
        self._stopping = True
        playing.cancel()
        await asyncio.gather(playing, return_exceptions=True)
        for name in self._workers:
            self._send(name, control.Stop())
        if self._watching:
            await asyncio.wait(self._watching, timeout=STOP_TIMEOUT_S)
        for worker in self._workers.values():
            if not worker.exited.done():
                worker.kill()
        await asyncio.gather(*self._watching)
        for worker in self._workers.values():
            worker.close()

    # -- messages --------------------------------------------------------------------------------------------

    def _received(self, sender: str, parts: Parts) -> None:
        try:
            self._take(sender, control.decode_from_worker(b"".join(parts)))
        except msgspec.MsgspecError as error:
            self._fail(StageFailed(f"{self._graph.path}: process {sender} sent what is no message: {error}"))
        except Exception as error:  # `updated` is the caller's: a terminal that is gone, for one
            self._fail(error)

    def _take(self, sender: str, message: control.FromWorker) -> None:
        match message:
            case control.Reported(reports, process):
                self._result.processes[sender] = process
                self._result.reports |= {report.stage: report for report in reports}
                self._result.refused = self._channel.refused + sum(r.refused for r in self._result.reports.values())
                self._updated(self._result)
            case control.Traced(events, lost) if self._trace is not None:
                self._trace.add(sender, self._result.processes[sender].pid, events, lost)
            case control.Warned(warnings):
                for each in warnings:
                    if (told := self._result.add_warning(each)) is not None:
                        self._warned(told)
            case control.Failed(stage, error, exit_code, detail):
                if self._verbose:
                    print(detail, file=sys.stderr)
                kind = StageFailed if exit_code == StageFailed.exit_code else EmopipeError
                self._fail(kind(f"{self._graph.path}: stages.{stage}: {error}"))
            case control.Loading(stage):
                self._loading[sender] = stage
            case _:
                self._steps[sender].put_nowait(message)

    def _fail(self, error: Exception) -> None:
        if not self._failure.done():
            self._failure.set_exception(error)

    async def _each(self, step: type[control.FromWorker]) -> list[control.FromWorker]:
        """Wait until every worker has said `step`."""
        answers = []
        for name in self._workers:
            answer = await self._steps[name].get()
            assert isinstance(answer, step), f"{name} said {answer}, expected {step.__name__}"
            answers.append(answer)
        return answers

    def _send(self, name: str, message: control.ToWorker) -> None:
        # A worker that is gone, or has not said hello yet, cannot be told; ROUTER drops it, and so it should.
        self._channel.send(name, [control.encode(message)])

    def _plan(self, names: Sequence[str], sockets: str) -> control.Prepare:
        stages = [self._graph.stages[name] for name in names]
        return control.Prepare(
            mode=self._graph.mode,
            stages=[StagePlan(stage.name, stage.use, stage.table, stage.carried) for stage in stages],
            links=[link for link in self._graph.links if link.id.sender in names or link.id.receiver in names],
            path=[str(folder) for folder in import_path(self._graph.path)],
            sockets=sockets,
            traced=self._trace is not None,
        )


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
