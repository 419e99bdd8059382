"""One worker process: the stages of one process group in one event loop, told what to do by the supervisor.

Started as `python -m emopipe.pipeline.runtime.worker ADDRESS STACKS PROCESS`, with the key of the control socket on
standard input, where nobody else reads it; everything else comes over that socket. STACKS is a file for the stacks of
its threads.
"""

import asyncio
import ctypes
import faulthandler
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import zmq

from emopipe.pipeline.access.addresses import tcp_address
from emopipe.pipeline.access.keys import KeyPair
from emopipe.pipeline.clock import SystemClock
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.files import Journal
from emopipe.pipeline.graph.registry import instantiate, make_importable
from emopipe.pipeline.graph.spec import Link
from emopipe.pipeline.memory.arrays import use_pool
from emopipe.pipeline.memory.pool import SlotPool
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.runtime import control
from emopipe.pipeline.runtime.channel import Access, ConnectedChannel, Endpoint, Parts
from emopipe.pipeline.runtime.host import JOURNAL_SUFFIX, StageHost
from emopipe.pipeline.runtime.remote_host import RemoteHost, clock_id
from emopipe.pipeline.runtime.result import PendingWarnings
from emopipe.pipeline.runtime.source_host import SourceHost, host_of
from emopipe.pipeline.runtime.transport import LinkError, LocalInlet, LocalOutlet, ZmqInlet, ZmqOutlet
from emopipe.pipeline.supervision.heartbeat import BEAT_S, BusyTimes
from emopipe.pipeline.telemetry.trace import Tracer
from emopipe.pipeline.telemetry.usage import Usage

REPORT_INTERVAL_S = 0.2
WARNING_INTERVAL_S = 0.5
MAX_TEXT_CHARS = 10_000
PR_SET_PDEATHSIG = 1
COPY_VARIABLE = "EMOPIPE_COPY_ARRAYS"  # if 1, large arrays travel in their messages, as between hosts; to compare with


class Worker:
    """Makes, connects, plays and closes the stages of one process; `own` is given on another host."""

    def __init__(self, endpoint: Endpoint, process: str, own: RemoteHost | None = None) -> None:
        self._context = zmq.Context()
        self._clock = SystemClock()
        self._process = process
        self._own = own
        self._pair = KeyPair.new()  # for links between hosts, in this run
        keys = (own.pair, own.happened) if own is not None else (None, None)
        self._control = ConnectedChannel(self._context, endpoint, self._on_order, pair=keys[0], happened=keys[1])
        self._orders: asyncio.Queue[control.ToWorker] = asyncio.Queue()
        self._hosts: dict[str, StageHost] = {}
        self._local_inlets: dict[LinkId, LocalInlet] = {}
        self._links: list[Link] = []
        self._sockets = ""  # how the addresses of our inputs begin
        self._address = ""  # where those from other hosts are bound
        self._senders: dict[LinkId, str] = {}  # the public keys of who sends from there
        self._bound = 0  # of them
        self._received: dict[LinkId, int] = {}  # what links had carried before we were restarted
        self._usage = Usage()
        self._tracer: Tracer | None = None
        self._warnings = PendingWarnings()
        self._warning_timer: asyncio.TimerHandle | None = None
        copies = os.environ.get(COPY_VARIABLE) == "1"
        self._pool = None if copies else SlotPool(lambda text: self._warn(process, text, False))
        if self._pool is not None:
            use_pool(self._pool)
        # Injects random delays (ms) before each message of each stage, to show that results do not depend on them.
        self._stall = float(os.environ.get("EMOPIPE_STALL_MS", "0"))

    async def run(self) -> None:
        """Follow orders until Stop."""
        # Nobody awaits the callbacks of sockets: without this, what they raise would end nothing, and the run hang.
        asyncio.get_running_loop().set_exception_handler(self._on_loop_error)
        self._send(control.Hello(self._pair.public, clock_id()))
        beating = asyncio.create_task(self._beat())
        work: asyncio.Task[None] | None = None
        while True:
            order = await self._orders.get()
            if isinstance(order, control.Stop):
                break
            if isinstance(order, control.Cut):
                await self._guard(self._process, partial(self._cut, order.links))
                continue
            if isinstance(order, control.Rejoined):
                await self._guard(self._process, partial(self._rejoin, order))
                continue
            if isinstance(order, control.Status | control.Drain):  # these do not wait for their turn
                for name, host in self._hosts.items():
                    await self._guard(name, partial(_apply, order, host))
                continue
            # Orders come one after the other, but Stop may come in the middle of one.
            work = asyncio.create_task(self._follow(order))
        if work is not None:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)
        for host in self._hosts.values():
            await self._guard(host.stage.label, host.close)
        if self._hosts:
            self._report()
        self._send_warnings()
        self._send(control.Closed())
        beating.cancel()
        self._control.close(flush=True)
        self._context.term()
        if self._pool is not None:
            self._pool.close()

    async def _beat(self) -> None:
        """Say that the event loop lives, and who is busy for how long."""
        times = BusyTimes()
        while True:
            await asyncio.sleep(BEAT_S)
            self._send(control.Alive(times.beat({name: host.at_work for name, host in self._hosts.items()})))

    async def _follow(self, order: control.ToWorker) -> None:
        match order:
            case control.Prepare():
                await self._guard(self._process, lambda: self._prepare(order))
            case control.Connect(endpoints):
                await self._guard(self._process, lambda: self._connect(endpoints))
            case control.Play(base_time):
                await self._guard(self._process, lambda: self._play(base_time))

    async def _prepare(self, plan: control.Prepare) -> None:
        own = self._own
        make_importable([Path.cwd()] if own is not None else map(Path, plan.path))
        sockets, state = (plan.sockets, Path(plan.state)) if own is None else (own.sockets, own.state(plan.state))
        address = plan.address if own is None else tcp_address(own.address)  # where links from other hosts are bound
        self._tracer = Tracer() if plan.traced else None
        for stage in plan.stages:

            async def make(stage: control.StagePlan = stage) -> None:
                made = instantiate(stage.name, stage.use, stage.table, stage.carried)
                if own is not None and (problems := made.settings.check()):  # here its files are
                    raise EmopipeError("; ".join(": ".join(filter(None, each)) for each in problems))
                warn = partial(self._warn, stage.name)
                self._hosts[stage.name] = host_of(
                    made,
                    mode=plan.mode,
                    clock=self._clock,
                    warn=warn,
                    stall=self._stall,
                    journal=Journal(state / f"{stage.name}{JOURNAL_SUFFIX}"),
                    finished=plan.finished,
                )
                if not made.outputs:
                    self._hosts[stage.name].turns = plan.turns

            self._send(control.Loading(stage.name))
            if not await self._guard(stage.name, make):
                return
        if self._tracer is not None:
            for made in self._hosts.values():
                made.trace(self._tracer)
        self._links = plan.links
        self._sockets = sockets
        self._address = address
        self._senders = plan.senders
        self._received = plan.received
        endpoints: dict[LinkId, Endpoint] = {}
        for link in plan.links:
            if (host := self._hosts.get(link.id.receiver)) is None:
                continue
            if link.local:
                inlet = LocalInlet(link.id, host.inbox, self._clock, link.queue.window)
                self._local_inlets[link.id] = inlet
                host.inlets.setdefault(link.id.input, []).append(inlet)
            else:
                remote = self._bind(link, host)
                remote.begin_at(plan.received.get(link.id, 0))
                host.inlets.setdefault(link.id.input, []).append(remote)
                endpoints[link.id] = remote.endpoint
        for host in self._hosts.values():
            if isinstance(host, SourceHost):
                host.begin_at(plan.epochs)
        self._send(control.Loading(""))
        self._send(control.Bound(endpoints))

    def _bind(self, link: Link, host: StageHost) -> ZmqInlet:
        """An inlet at an address of its own."""
        here = f"{self._sockets}{self._bound}"
        self._bound += 1
        return ZmqInlet(
            link.id,
            host.inbox,
            self._clock,
            link.queue.window,
            context=self._context,
            address=self._address if link.remote else here,
            payload=host.stage.inputs[link.id.input].type,
            access=Access(self._pair, Path(here.removeprefix("ipc://"))) if link.remote else None,
            sender_key=self._senders.get(link.id, ""),
        )

    async def _cut(self, links: list[LinkId]) -> None:
        answer = control.WasCut({}, {}, {}, {})
        for link in [link for link in self._links if link.id in links]:
            if (host := self._hosts.get(link.id.sender)) is not None:
                answer.received[link.id], streams = host.cut(link.id)
                answer.sent |= streams
            else:
                host = self._hosts[link.id.receiver]
                new = self._bind(link, host)
                answer.received[link.id], answer.taken[link.id] = host.replace(link.id, new)
                answer.endpoints[link.id] = new.endpoint
        self._send(answer)

    async def _rejoin(self, order: control.Rejoined) -> None:
        for host in self._hosts.values():
            host.interrupted(order.interruption)
        for link, endpoint in order.endpoints.items():
            if (sender := self._hosts.get(link.sender)) is not None:
                outlet = sender.outlets[link.output][link]
                if isinstance(outlet, ZmqOutlet):
                    outlet.reconnect(endpoint, order.interruption.epochs)
        for link, streams in order.ended.items():
            if (receiver := self._hosts.get(link.receiver)) is not None:
                for stream in streams:
                    receiver.end_input(link, stream)
        self._send(control.Noted(order.interruption.epochs))

    async def _connect(self, endpoints: dict[LinkId, Endpoint]) -> None:
        for link in self._links:
            if (host := self._hosts.get(link.id.sender)) is None:
                continue
            outlet = (
                LocalOutlet(link.queue, self._clock, self._local_inlets[link.id])
                if link.local
                else ZmqOutlet(
                    link.queue,
                    self._clock,
                    context=self._context,
                    endpoint=endpoints[link.id],
                    payload=host.stage.outputs[link.id.output].type,
                    receiver=link.id.receiver,
                    pair=self._pair if link.remote else None,
                    pool=self._pool,
                )
            )
            outlet.begin_at(self._received.get(link.id, 0))
            host.outlets[link.id.output][link.id] = outlet
        for name, host in self._hosts.items():
            self._send(control.Loading(name))
            if not await self._guard(name, host.setup):
                return
        self._send(control.Loading(""))
        self._send(control.Ready())

    async def _play(self, base_time: int) -> None:
        self._usage.start()
        playing = [
            asyncio.create_task(self._guard(name, partial(host.play, base_time))) for name, host in self._hosts.items()
        ]
        pending: set[asyncio.Task[bool]] = set(playing)
        try:
            while pending:
                _, pending = await asyncio.wait(pending, timeout=REPORT_INTERVAL_S)
                self._report()
            if all(task.result() for task in playing):
                self._send(control.Finished())
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def _guard(self, stage: str, work: Callable[[], Awaitable[None]]) -> bool:
        """Do `work`; if it fails, tell the supervisor which stage failed and why. Whether it went well."""
        try:
            await work()
        except (Exception, asyncio.CancelledError) as error:
            task = asyncio.current_task()
            if isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling():
                raise  # by Stop; any other cancellation is a stage's own mistake
            self._failed(stage, error)
            return False
        return True

    def _on_loop_error(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception") or Exception(context["message"])
        if "socket" in context and isinstance(error, OSError):  # a server's accept, which asyncio tries again in 1 s
            self._warn(self._process, f"no connection can be taken for a moment: {error.strerror}", False)
            return
        self._failed(error.sender if isinstance(error, LinkError) else self._process, error)

    def _failed(self, stage: str, error: BaseException) -> None:
        mendable = isinstance(error, EmopipeError)
        text = str(error) if mendable else f"{type(error).__name__}: {error}"
        detail = "".join(traceback.format_exception(error))
        self._send_warnings()
        exit_code = getattr(error, "exit_code", 1)
        self._send(control.Failed(stage, _printable(text), exit_code, _printable(detail), explained=mendable))

    def _warn(self, stage: str, text: str, damage: bool) -> None:
        """Tell the supervisor: now, or if that was done a moment ago, when the moment is over."""
        self._warnings.add(stage, _printable(text), damage)
        if self._warning_timer is None:
            self._send_warnings()

    def _send_warnings(self) -> None:
        if self._warning_timer is not None:
            self._warning_timer.cancel()
            self._warning_timer = None
        if warnings := self._warnings.take():
            self._control.send([control.encode(control.Warned(warnings))])
            self._warning_timer = asyncio.get_running_loop().call_later(WARNING_INTERVAL_S, self._send_warnings)

    def _report(self) -> None:
        reports = [host.report() for host in self._hosts.values()]
        process = self._usage.sample()
        process.stages = list(self._hosts)
        self._send(control.Reported(reports, process))
        if self._tracer is not None:
            self._send(control.Traced(*self._tracer.take()))

    def _send(self, message: control.FromWorker) -> None:
        self._control.send([control.encode(message)])

    def _on_order(self, parts: Parts) -> None:
        match order := control.decode_to_worker(parts[0]):
            case control.AskClock(asked):  # at once: what it waits makes the answer less certain
                self._send(control.ClockTold(asked, time.monotonic_ns()))
            case control.SetClock(shift):
                SystemClock.shift = shift
            case _:
                self._orders.put_nowait(order)


async def _apply(order: control.Status | control.Drain, host: StageHost) -> None:
    if isinstance(order, control.Drain):
        host.drain()
    else:
        host.stage.status(order.run)


def _printable(text: str) -> str:
    """`text`, if not too long, in characters that UTF-8 has: a file's name may hold bytes that are none."""
    return text[-MAX_TEXT_CHARS:].encode(errors="backslashreplace").decode()


def _exit_with_parent() -> None:
    """End this process when the supervisor's end of our standard input closes, however the supervisor died."""
    while os.read(0, 4096):
        pass
    os._exit(1)


def _die_with_parent() -> None:
    """Let the system kill this process when the supervisor dies, even while it is stopped by a signal (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _read_key() -> str:
    """The line on standard input; byte by byte, since its end is what says that the supervisor is gone."""
    key = b""
    while not key.endswith(b"\n"):
        if not (byte := os.read(0, 1)):
            os._exit(1)
        key += byte
    return key.decode().strip()


def main() -> None:
    address, stacks, process = sys.argv[1:]
    faulthandler.register(control.STACKS_SIGNAL, Path(stacks).open("w"))  # noqa: SIM115  # open to the end
    _die_with_parent()
    endpoint = Endpoint(address, _read_key())
    threading.Thread(target=_exit_with_parent, daemon=True).start()

    async def work() -> None:
        await Worker(endpoint, process).run()

    asyncio.run(work())
    sys.stdout.flush()
    sys.stderr.flush()
    # A native thread in the middle of a long computation must not hold the process back.
    os._exit(0)


if __name__ == "__main__":
    main()
