"""Play a graph from a command line: progress while it runs, and at its end an account of what became of everything."""

import asyncio
import contextlib
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from emopipe.arguments.outputs import keep_apart, need_writable
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.load import Graph
from emopipe.pipeline.graph.spec import original
from emopipe.pipeline.runtime.processes.launcher import Launcher
from emopipe.pipeline.runtime.result import RunResult, RunWarning
from emopipe.pipeline.runtime.supervisor import Supervisor
from emopipe.pipeline.telemetry.trace import TraceWriter
from emopipe.pipeline.text import readable
from emopipe.stages.web.metrics import answer_with
from emopipe.stages.web.server import WebServer
from emopipe.stages.web.settings import WebSettings
from emopipe.tables.live import latencies, slowest_sink, streams

POLL_S = 0.2  # s after which a run is asked again whether it has ended
DAMAGED = 1  # the exit code of a run that lost part of its input


def play(
    graph: Graph,
    *,
    bar: bool,
    verbose: bool,
    launcher: Launcher | None = None,
    trace: Path | None = None,
    state: Path | None = None,
    began: Callable[[], None] = lambda: None,
    ended: Callable[[], bool] = lambda: False,
) -> RunResult:
    """Run the graph to its end; warnings go to standard error, at once, and the way of every message to `trace`.

    `launcher` starts the processes, on this host where not given. `began` is called when messages have gone out, and
    now and then after that. In the folder `state` is kept what another run goes on from, if this one does not come to
    its end. Once `ended` says so the sources of a live run end.

    In live mode Ctrl-C ends the sources, and what is under way comes to its end; once more stops it. SIGTERM and SIGHUP
    do what Ctrl-C does.

    Raises:
        KeyboardInterrupt: it was stopped; by which signal, where it was not Ctrl-C.
    """
    screen = Console(stderr=True, highlight=False)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=screen,
        transient=True,
        disable=not (bar and screen.is_terminal),
    )
    task = progress.add_task("loading", total=None, speed="")

    def warned(warning: RunWarning) -> None:
        again = f" ({warning.count} times)" if warning.count > 1 else ""
        screen.print(f"emopipe: {warning.stage}: {readable(warning.text)}{again}", markup=False, soft_wrap=True)

    def updated(result: RunResult) -> None:
        if any(counts.sent for report in result.reports.values() for counts in report.links.values()):
            began()
        sources = [report for report in result.reports.values() if report.total]
        if sources:
            done, total = sum(report.done for report in sources), sum(report.total for report in sources)
            progress.update(task, description=graph.name, completed=done, total=total)
            elapsed = progress.tasks[0].elapsed
            if elapsed:
                progress.update(task, speed=f"{done / SECOND / elapsed:.1f}× real time")

    with progress, _tracing(trace, graph, screen) as writer:
        supervisor = Supervisor(
            graph, updated=updated, warned=warned, trace=writer, state=state, launcher=launcher, verbose=verbose
        )
        result = asyncio.run(_watched(supervisor, graph, screen, ended))
    if isinstance(result, signal.Signals):
        raise KeyboardInterrupt(*[result.name] if result != signal.SIGINT else [])
    return result


@contextlib.contextmanager
def _tracing(path: Path | None, graph: Graph, screen: Console) -> Iterator[TraceWriter | None]:
    """Write a trace, and say at its end what is missing there."""
    if path is None:
        yield None
        return
    need_apart_from(graph, path, "--trace")
    need_writable(path, "--trace")
    writer = TraceWriter(path)
    try:
        yield writer
    finally:
        writer.close()
        if writer.lost or writer.full:
            what = "is full: what came later is not in it" if writer.full else f"{_many(writer.lost, 'event')} missing"
            screen.print(f"emopipe: --trace {path}: {what}", markup=False, soft_wrap=True)


def need_apart_from(graph: Graph, path: Path, option: str) -> None:
    """Make sure that `path` is none of the recordings and weights that a graph's stages read.

    Raises:
        EmopipeError: it is.
    """
    for stage in graph.stages.values():
        keep_apart([path], option, [*stage.settings.reads(), *stage.settings.loads()])


async def _watched(
    supervisor: Supervisor, graph: Graph, screen: Console, ended: Callable[[], bool]
) -> RunResult | signal.Signals:
    async with _serving_metrics(graph, supervisor):
        return await _until_stopped(supervisor, screen, ended, drains=graph.mode == "live")


async def _until_stopped(
    supervisor: Supervisor, screen: Console, ended: Callable[[], bool], *, drains: bool
) -> RunResult | signal.Signals:
    """The result of a run, or the signal that stopped it before it had come to its end."""
    loop = asyncio.get_running_loop()
    running = asyncio.ensure_future(supervisor.run())
    stopped_by = signal.SIGINT
    draining = False

    def stop(number: signal.Signals) -> None:
        nonlocal draining, stopped_by
        stopped_by = number
        if number == signal.SIGHUP:
            screen.quiet = True  # its terminal has gone
        if draining or not (drains and supervisor.drain()):
            running.cancel()
        else:
            draining = True
            screen.print("emopipe: ending; once more stops at once")

    with contextlib.ExitStack() as handlers:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number == signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
                continue  # nohup
            loop.add_signal_handler(number, stop, number)
            handlers.callback(loop.remove_signal_handler, number)
        while not running.done():
            await asyncio.wait([running], timeout=POLL_S)
            draining = draining or (ended() and supervisor.drain())
    return stopped_by if running.cancelled() else running.result()


@contextlib.asynccontextmanager
async def _serving_metrics(graph: Graph, supervisor: Supervisor) -> AsyncIterator[None]:
    """Answer Prometheus where the graph says so.

    Raises:
        EmopipeError: the address is in use, or not this machine's.
    """
    if graph.monitoring.metrics is None:
        yield
        return
    try:
        server = await WebServer.join(WebSettings(endpoint=f"http://{graph.monitoring.metrics}"))
    except EmopipeError as error:
        raise EmopipeError(f"{graph.path}: pipeline.metrics: {error}") from None
    server.route("GET", "/metrics", answer_with(supervisor.snapshot))
    try:
        yield
    finally:
        await server.leave()


def account(result: RunResult, graph: Graph) -> list[str]:
    """What became of every frame and of the sound, one line each; what was dropped, and by whom."""
    reports = result.reports.values()
    counted_by: dict[str, Counter[str]] = {}  # a stage and its copies in shards together
    for report in reports:
        counted_by.setdefault(original(report.stage), Counter()).update(report.counters)
    counters: dict[str, int] = {}  # several sinks count the same results
    for counted in counted_by.values():
        counters |= {name: max(count, counters.get(name, 0)) for name, count in counted.items()}
    # Every source brings something of its own; and who comes after them may count the same again.
    sources = [counted_by[name] for name, stage in graph.stages.items() if not stage.inputs]
    counters |= {name: sum(counted[name] for counted in sources) for name in ("frames", "samples")}
    lines = []
    if frames := counters.get("frames", 0):
        shown, empty = counters.get("frames_with_face", 0), counters.get("frames_without_face", 0)
        seen = f": {shown} with a face, {empty} without" if shown + empty else ""
        lines.append(_many(frames, "frame") + seen)
    if samples := counters.get("samples", 0):
        silent = counters.get("silent_ns", 0) / SECOND
        windows = counters.get("windows", 0)
        seconds = samples / 16_000
        heard = f": {_many(windows, 'window')} of speech, {silent:.1f} s of silence" if windows or silent else ""
        lines.append(f"{seconds:.1f} s of sound{heard}")
    for report in reports:
        for link, counts in report.links.items():
            for reason, count in counts.dropped.items():
                lines.append(f"{link}: {_many(count, 'message')} dropped ({reason})")
    for stage, times in result.restart_counts.items():
        lines.append(f"{stage}: restarted {'once' if times == 1 else f'{times} times'}")
    if result.refused:
        lines.append(f"{_many(result.refused, 'message')} of strangers refused")
    # Played as fast as possible, the time from capture to sink is that of waiting in full queues.
    paced = graph.mode == "live" or any(getattr(stage.settings, "realtime", False) for stage in graph.stages.values())
    if paced and (sink := slowest_sink(result)):
        oldest = sink.age
        p50, p95, p99 = (oldest.percentile(percent) / 1e6 for percent in (50, 95, 99))
        lines.append(f"capture to sink: p50 {p50:.1f} ms, p95 {p95:.1f} ms, p99 {p99:.1f} ms")
    return lines


def conclude(result: RunResult, graph: Graph) -> int:
    """Print the account to standard error, and return the exit code."""
    for line in account(result, graph):
        print(f"{graph.name}: {line}", file=sys.stderr)
    if graph.mode == "live":
        screen = Console(stderr=True, highlight=False)
        for table in (latencies(result), streams(result)):
            if table is not None:
                screen.print(table)
    return DAMAGED if result.damaged else 0


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}".replace(",", " ")
