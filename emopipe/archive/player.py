"""A graph played in this very process, without workers and sockets: what a job does with one recording after another.

Stages, hosts and links are made anew each time, so that nothing of one recording is left for the next.
"""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

from emopipe.pipeline.clock import Clock, SystemClock
from emopipe.pipeline.files import Journal
from emopipe.pipeline.graph.load import Graph
from emopipe.pipeline.graph.registry import instantiate
from emopipe.pipeline.graph.spec import StageSpec
from emopipe.pipeline.port import Mode
from emopipe.pipeline.runtime.host import JOURNAL_SUFFIX, StageHost
from emopipe.pipeline.runtime.result import RunResult, RunWarning
from emopipe.pipeline.runtime.source_host import host_of
from emopipe.pipeline.runtime.transport import LocalInlet, LocalOutlet

BEAT_S = 1.0


async def play(graph: Graph, state: Path, beat: Callable[[], None] = lambda: None) -> RunResult:
    """Play a replay to its end, all its stages in this event loop.

    Args:
        graph: checked; in which processes it would run otherwise does not matter.
        state: the folder for the journals of its sinks, empty.
        beat: called every `BEAT_S` in which a message was taken somewhere.

    Raises:
        EmopipeError: a stage could not be set up, or failed, for a reason the user can mend.
        Exception: whatever else a stage has raised.
    """
    loop = asyncio.get_running_loop()
    result = RunResult()
    broken: asyncio.Future[None] = loop.create_future()  # by what nobody awaits, such as a callback
    loop.set_exception_handler(partial(_on_loop_error, broken))
    async with AsyncExitStack() as exit:
        clock = SystemClock()
        hosts = {name: _host(spec, graph.mode, clock, state, result, exit) for name, spec in graph.stages.items()}
        _connect(graph, hosts, clock)
        for host in hosts.values():
            await host.setup()
        base_time = clock.now()
        playing = [asyncio.create_task(host.play(base_time)) for host in hosts.values()]
        exit.push_async_callback(_cancel, playing)
        beating = asyncio.create_task(_beat(list(hosts.values()), beat))
        exit.push_async_callback(_cancel, [beating])
        await _all(playing, broken)
    for name, host in hosts.items():
        result.reports[name] = host.report()
    return result


def _host(spec: StageSpec, mode: Mode, clock: Clock, state: Path, result: RunResult, exit: AsyncExitStack) -> StageHost:
    journal = Journal(state / f"{spec.name}{JOURNAL_SUFFIX}")
    exit.callback(journal.close)

    def warn(text: str, damage: bool) -> None:
        result.add_warning(RunWarning(spec.name, text, damage))

    stage = instantiate(spec.name, spec.use, spec.table, spec.carried)
    host = host_of(stage, mode=mode, clock=clock, warn=warn, journal=journal)
    exit.push_async_callback(host.close)
    return host


def _connect(graph: Graph, hosts: dict[str, StageHost], clock: Clock) -> None:
    for link in graph.links:
        sender, receiver = hosts[link.id.sender], hosts[link.id.receiver]
        inlet = LocalInlet(link.id, receiver.inbox, clock, link.queue.window)
        receiver.inlets.setdefault(link.id.input, []).append(inlet)
        sender.outlets[link.id.output][link.id] = LocalOutlet(link.queue, clock, inlet)


async def _beat(hosts: list[StageHost], beat: Callable[[], None]) -> None:
    before = -1
    while True:
        reports = [host.report() for host in hosts]
        taken = sum(counts.delivered for report in reports for counts in report.inlets.values())
        if taken != before:
            beat()
        before = taken
        await asyncio.sleep(BEAT_S)


async def _all(playing: list[asyncio.Task[None]], broken: asyncio.Future[None]) -> None:
    """Wait for all stages; the first error of any of them ends it."""
    pending: set[asyncio.Future[None]] = {*playing}
    while pending:
        done, rest = await asyncio.wait({*pending, broken}, return_when=asyncio.FIRST_COMPLETED)
        for each in done:
            each.result()
        pending = rest - {broken}


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _on_loop_error(broken: asyncio.Future[None], loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    if not broken.done():
        broken.set_exception(context.get("exception") or RuntimeError(context["message"]))
