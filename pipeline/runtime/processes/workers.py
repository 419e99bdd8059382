"""The worker processes of a run: started in order, watched, and stopped without leftovers.

start   spawn every worker → all inputs bound → outputs connected, stages set up → play
watch   who exits before its time, is silent or busy for too long, or takes too much memory, has failed
end     every stage has ended (EOS has drained through the graph): they close, and exit
"""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import msgspec
import zmq

from emopipe.pipeline.errors import EmopipeError, StageFailed
from emopipe.pipeline.graph.load import Graph
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.report import Interruption, RunSnapshot
from emopipe.pipeline.runtime import control
from emopipe.pipeline.runtime.channel import Endpoint, Parts
from emopipe.pipeline.runtime.processes.host_clocks import HostClocks
from emopipe.pipeline.runtime.processes.launcher import Launcher, Place
from emopipe.pipeline.runtime.processes.preparation import Places, Preparation
from emopipe.pipeline.runtime.processes.rejoin import Rejoining
from emopipe.pipeline.runtime.processes.remote_process import ControlChannels, need_own
from emopipe.pipeline.runtime.processes.watch import ProcessWatch
from emopipe.pipeline.runtime.result import RunListener, RunWarning
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.supervision.restarts import Failure
from emopipe.pipeline.telemetry.status import STATUS_INTERVAL_S

STOP_TIMEOUT_S = 1.0  # for a worker to close its stages; with the kill it stays well under two seconds
FOLDER_INTERVAL_S = 0.5
CONTROL_WINDOW_MESSAGES = 1000
START_TIMEOUT_S = 180.0  # for all stages to be ready, besides what they wait for others
CLOSE_TIMEOUT_S = 10.0  # for the stages to close after all have ended: there may be files to finish


class Workers:
    """All worker processes of a graph, for as long as none of them fails.

    Args:
        graph: placed by the launcher.
        launcher: who starts them.
        finished: streams that are not to be played.
        epochs: in which streams begin that have been played before.
        rejoins: the wait (s) after which a process that has failed comes back while the others play on; None where the
            run fails with it.
        traced: whether to report what stages take and send.

    Attributes:
        failure: set where one has failed, or the run cannot go on for another reason.
        processes: by name.
        base_time: monotonic ns at which the stages began to play; 0 before.
        playing: whether they play.
        closing: all stages have ended.
    """

    def __init__(
        self,
        graph: Graph,
        places: Places,
        listener: RunListener,
        launcher: Launcher,
        finished: Sequence[str] = (),
        epochs: Mapping[str, int] | None = None,
        *,
        rejoins: Callable[[Failure], float | None] = lambda failure: None,
        traced: bool,
        verbose: bool,
    ) -> None:
        self._graph = graph
        self._places = places
        self._listener = listener
        self._launcher = launcher
        self._epochs = dict(epochs or {})
        self._preparation = Preparation(graph, places, finished, traced=traced)
        self._verbose = verbose
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.base_time = 0
        self.playing = self.closing = False
        self.processes: dict[str, Place] = {}
        self._watch = ProcessWatch(graph, self.processes, listener.warned)
        self._steps: dict[str, asyncio.Queue[control.FromWorker]] = defaultdict(asyncio.Queue)
        self._context = zmq.Context()
        self._channel = ControlChannels(
            self._context,
            places.sockets,
            [name for name in graph.processes if name not in graph.remote.processes],
            graph.remote,
            self._received,
            window=CONTROL_WINDOW_MESSAGES,
        )
        self._clocks = HostClocks(graph, self.send, listener.warned)
        self._rejoining = Rejoining(self, graph, rejoins, START_TIMEOUT_S)
        self._loading: dict[str, str] = {}  # what each worker is busy with during the start
        self._exits: list[asyncio.Task[None]] = []
        self._stopping = False  # whatever happens to a worker now, we do it

    # -- the life of a run -----------------------------------------------------------------------------------

    async def play(self, snapshot: Callable[[], RunSnapshot], beginning: Callable[[], None]) -> None:
        """Bring everybody up, and play until every stage has ended and is closed.

        `snapshot` gives what is known of the run, for the stages that watch; `beginning` is called when all are ready
        and `base_time` is known, before they are told to play.

        Raises:
            StageFailed: they are not ready, or not closed, in time.
            EmopipeError: the graph has text that cannot be sent.
        """
        watching = asyncio.create_task(self._watch.run())
        try:
            await self._start_in_time()
            self.base_time = time.monotonic_ns()
            beginning()
            self.send_all(control.Play(self.base_time))
            self.playing = True
            telling = [asyncio.create_task(each) for each in (self._send_status(snapshot), self._clocks.watch())]
            try:
                await self._each(control.Finished)
            finally:
                for task in telling:
                    task.cancel()
                self.playing = False
            self.closing = True
            self.send_all(control.Stop())
            try:
                async with asyncio.timeout(CLOSE_TIMEOUT_S):
                    await self._each(control.Closed)
            except TimeoutError:
                cut = f"did not close within {CLOSE_TIMEOUT_S:g} s; what they write may be cut"
                names = [name for name in self.processes if self._steps[name].empty()]
                raise Failure(names[0], self.processes[names[0]].title, cut) from None
        finally:
            watching.cancel()

    async def stop(self, *, at_once: bool) -> None:
        """End every process: let it close its stages, unless `at_once`; kill whoever is still there after a moment."""
        self._stopping = True
        await self._rejoining.stop()
        if not at_once:
            self.send_all(control.Stop())
            if self._exits:
                await asyncio.wait(self._exits, timeout=STOP_TIMEOUT_S)
        for worker in self.processes.values():
            if not worker.exited.done():
                worker.kill()
        await asyncio.gather(*(worker.exited for worker in self.processes.values()))
        for task in self._exits:  # nobody asks any more how they have ended
            task.cancel()
        if self._exits:
            await asyncio.wait(self._exits)
        for worker in self.processes.values():
            worker.close()
        self.failure.cancel()
        self._channel.close()
        self._context.term()

    def send_all(self, message: control.ToWorker) -> None:
        """Tell every worker."""
        for name in self.processes:
            self.send(name, message)

    def send(self, name: str, message: control.ToWorker) -> None:
        """Tell one worker; one that is gone, or has not said hello yet, is not told: ROUTER drops it."""
        self._channel.send(name, [control.encode(message)])

    def rejoined(self, interruption: Interruption) -> None:
        """A process is back."""
        self._listener.rejoined(interruption)

    def fail(self, error: Exception) -> None:
        """The run cannot go on; what comes first is what is said of it."""
        if not self.failure.done():
            self.failure.set_exception(error)

    # -- the start -------------------------------------------------------------------------------------------

    async def _start_in_time(self) -> None:
        limit = START_TIMEOUT_S + sum(stage.settings.waits() for stage in self._graph.stages.values())
        limit += max((process.wait for process in self._graph.remote.processes.values()), default=0.0)
        watching = asyncio.create_task(self._watch_folder())
        try:
            async with asyncio.timeout(limit):
                await self._start()
        except TimeoutError:
            busy = ", ".join(stage for stage in self._loading.values() if stage)
            raise StageFailed(f"{self._graph.path}: not ready within {limit:g} s: {busy}") from None
        finally:
            watching.cancel()

    async def _start(self) -> None:
        """Bring every worker up, and all stages to where they can play."""
        groups = self._graph.processes
        self._places.state.mkdir(exist_ok=True)
        for name in groups:
            await self.spawn(name)
        hellos = dict(zip(groups, await asyncio.gather(*map(self._hello, groups)), strict=True))
        await self._clocks.compare({name: hello.clock for name, hello in hellos.items()})
        self._preparation.public_keys = {name: hello.key for name, hello in hellos.items()}
        try:
            for name in groups:
                self.send(name, self.plan(name, {}, self._epochs))
        except UnicodeEncodeError as error:
            remedy = "rename the file or key"
            raise EmopipeError(f"{self._graph.path}: {error.object!r} is not UTF-8; {remedy}") from None
        endpoints: dict[LinkId, Endpoint] = {}
        for bound in await self._each(control.Bound):
            assert isinstance(bound, control.Bound)
            endpoints |= bound.endpoints
        self.send_all(control.Connect(endpoints))
        await self._each(control.Ready)

    async def spawn(self, name: str) -> None:
        """Start a process, or let one come from another host."""
        names = self._graph.processes[name]
        self._loading[name] = ", ".join(names)
        endpoint = self._channel.endpoint(name)
        worker = await self._launcher.spawn(name, self._graph, endpoint, self._places.sockets, verbose=self._verbose)
        if worker.wait is not None:
            self._listener.warned(RunWarning(name, f"waiting for it at {self._graph.remote.endpoint}", damage=False))
        self._watch.begin(name)
        self.processes[name] = worker
        self._exits.append(asyncio.create_task(self._on_exit(worker)))

    async def _hello(self, name: str) -> control.Hello:
        """Wait for a worker's first word."""
        worker = self.processes[name]
        try:
            async with asyncio.timeout(worker.wait):
                hello = await self._steps[name].get()
        except TimeoutError:
            raise EmopipeError(worker.missing) from None
        assert isinstance(hello, control.Hello)
        return hello

    def plan(self, name: str, received: dict[LinkId, int], epochs: dict[str, int]) -> control.Prepare:
        """What a worker is to prepare; `received` of one that is restarted, `epochs` of streams that are."""
        return self._preparation.of(name, received, epochs)

    async def _watch_folder(self) -> None:
        """Notice when somebody cleans up while sockets are still to be bound and found there."""
        folder = self._places.sockets
        while await asyncio.to_thread(folder.exists):
            await asyncio.sleep(FOLDER_INTERVAL_S)
        self._fail_without_folder()

    def _fail_without_folder(self) -> None:
        remedy = "set TMPDIR to a folder that nobody cleans meanwhile"
        folder = self._places.sockets
        self.fail(StageFailed(f"{self._graph.path}: {folder} has vanished while the stages were loading; {remedy}"))

    # -- while it plays --------------------------------------------------------------------------------------

    async def _send_status(self, snapshot: Callable[[], RunSnapshot]) -> None:
        """Send what is known of the run round to the stages that watch."""
        stages = self._graph.stages.values()
        watching = {stage.process for stage in stages if stage.cls.status is not Stage.status}
        while watching:
            await asyncio.sleep(STATUS_INTERVAL_S)
            for name in watching:
                self.send(name, control.Status(snapshot()))

    async def _on_exit(self, worker: Place) -> None:
        """Notice when it ends before its time."""
        code = await worker.exited
        if self._stopping or (self.closing and code == 0) or self._rejoining.replaced(worker):
            return
        if not self.playing and not self._places.sockets.exists():  # which it could not do without
            self._fail_without_folder()
            return
        known = self._watch.killed(worker.name)
        self._rejoining.lost(known or Failure(worker.name, worker.title, await worker.exit_report(code)))

    async def _on_lost(self, failure: Failure) -> None:
        """A process has failed, as its neighbour says; who watches it may soon know why."""
        worker = self.processes[failure.process]
        await asyncio.wait([worker.exited], timeout=worker.verdict)
        if not worker.exited.done():
            self._rejoining.lost(failure)

    # -- messages --------------------------------------------------------------------------------------------

    def _received(self, sender: str, parts: Parts) -> None:
        self._watch[sender].heard()
        try:
            message = control.decode_from_worker(b"".join(parts))
            if not self._rejoining.ignores(sender, message):
                self._take(sender, message)
        except msgspec.MsgspecError as error:
            self.fail(StageFailed(f"{self._graph.path}: process {sender} sent what is no message: {error}"))
        except Exception as error:  # the listener's: a terminal that is gone, for one
            self.fail(error)

    def _take(self, sender: str, message: control.FromWorker) -> None:
        match message:
            case control.Alive(busy):
                self._watch[sender].busy = busy
            case control.Reported(reports, process):
                need_own(sender, (report.stage for report in reports), self._graph.processes[sender])
                self._listener.refused(self._channel.refused)
                process.clock_error = self._clocks.error(sender)
                self._listener.reported(sender, process, reports)
            case control.ClockTold(asked, clock):
                self._clocks.told(sender, asked, clock)
            case control.Traced(events, lost):
                self._listener.traced(sender, events, lost)
            case control.Warned(warnings):
                for each in warnings:
                    self._listener.warned(each)
            case control.Failed(stage, error, exit_code, detail, explained):
                name = self._graph.stages[stage].process if stage in self._graph.stages else sender
                who = f"{self._graph.path}: stages.{stage}"
                failure = Failure(
                    name, who, error, detail=detail, exit_code=exit_code, explained=explained, repeats=True
                )
                if sender != name and self.processes[name].verdict:
                    self._exits.append(asyncio.create_task(self._on_lost(failure)))
                else:
                    self._rejoining.lost(failure)
            case control.WasCut() | control.Noted():
                self._rejoining.takes(sender, message)
            case control.Loading(stage):
                self._loading[sender] = stage
            case _:
                worker = self.processes[sender]
                if isinstance(message, control.Bound):
                    need_own(sender, (link.receiver for link in message.endpoints), worker.stages)
                if isinstance(message, control.Hello | control.Closed):
                    worker.heard(message)
                self._watch[sender].loading = not isinstance(message, control.Ready | control.Finished | control.Closed)
                if not self._rejoining.takes(sender, message):
                    self._steps[sender].put_nowait(message)

    async def _each(self, step: type[control.FromWorker]) -> list[control.FromWorker]:
        """Wait until every worker has said `step`."""
        answers = []
        for name in self.processes:
            answer = await self._steps[name].get()
            assert isinstance(answer, step), f"{name} said {answer}, expected {step.__name__}"
            answers.append(answer)
        return answers
