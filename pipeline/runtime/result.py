"""What a run has done, all its stages together; and who is told of it meanwhile."""

import time
from collections import Counter

import msgspec

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.graph.spec import Graph
from emopipe.pipeline.report import Interruption, ProcessReport, Report, RunSnapshot, RunState
from emopipe.pipeline.supervision.restarts import Restart
from emopipe.pipeline.telemetry.trace import TraceEvent

MAX_PENDING_TEXTS = 10
KEPT_RESTARTS = 100
KEPT_WARNINGS = 200  # warnings from the beginning, and as many of the newest


class RunWarning(msgspec.Struct):
    """Something a stage told the user; `damage` says that part of the input was lost, `count` how often it was said."""

    stage: str
    text: str
    damage: bool
    count: int = 1


class RunResult(msgspec.Struct):
    """What a run has done, by stage, so far or at its end.

    Attributes:
        reports: by stage.
        warnings: what the stages told the user, each text once: the first `KEPT_WARNINGS`, and the newest.
        damaged: whether part of the input was lost.
        forgotten: how many warnings are not in the list any more.
        refused: messages that came from nobody whom the run knows, and were dropped unread.
        seconds: from play to the end.
        processes: what each process used when it last said so, by name; the processor time of those before it is in it.
        restarts: those that have been made, the first `KEPT_RESTARTS` and the newest.
        restart_counts: how often each stage was restarted.
    """

    reports: dict[str, Report] = {}
    warnings: list[RunWarning] = []
    damaged: bool = False
    forgotten: int = 0
    refused: int = 0
    seconds: float = 0.0
    processes: dict[str, ProcessReport] = {}
    restarts: list[Restart] = []
    restart_counts: dict[str, int] = {}
    _cpu_before: dict[str, int] = {}  # of processes that are gone

    def report(self, name: str, process: ProcessReport, reports: list[Report]) -> None:
        """Take what a worker, by its name, has said of itself and of its stages."""
        for report in reports:
            report.restarts = self.restart_counts.get(report.stage, 0)
            self.reports[report.stage] = report
        process.cpu += self._cpu_before.get(name, 0)
        self.processes[name] = process

    def begin_anew(self, restart: Restart, *, since: int) -> None:
        """A replay begins anew after a failure: what the stages have counted and said so far, they will again.

        `since` is when the run began to play (monotonic ns), 0 if it has not.
        """
        self.add_restart(restart, since=since)
        self.reports.clear()
        self._cpu_before = {name: process.cpu for name, process in self.processes.items()}
        for warning in self.warnings:
            warning.count = 0
        self.forgotten = 0

    def add_restart(self, restart: Restart, *, since: int) -> None:
        """A process is restarted; the run began to play at `since` (monotonic ns), 0 where it has not."""
        restart.at = (restart.failed - since) / SECOND if since else 0.0
        self.restarts.append(restart)
        if len(self.restarts) > 2 * KEPT_RESTARTS:
            del self.restarts[KEPT_RESTARTS]
        for stage in restart.stages:
            self.restart_counts[stage] = self.restart_counts.get(stage, 0) + 1
            process = next((name for name, each in self.processes.items() if stage in each.stages), None)
            if process is not None:
                self._cpu_before[process] = self.processes[process].cpu

    def restarted(self, base_time: int) -> None:
        """Play goes on since `base_time` (monotonic ns)."""
        if self.restarts and self.restarts[-1].seconds is None and base_time > self.restarts[-1].failed:
            self.restarts[-1].seconds = (base_time - self.restarts[-1].failed) / SECOND

    def complete(self, seconds: float) -> None:
        """The run has come to its end, `seconds` after it began to play."""
        self.seconds = seconds
        for warning in self.warnings:  # of what was not played again
            warning.count = max(warning.count, 1)

    def add_warning(self, new: RunWarning) -> RunWarning | None:
        """Keep a warning, or count it where it is kept already; what to tell the user of it, if it is worth that.

        A text is told when it comes first, and again when it has come 10, 100, 1000 … times. Without a text it stands
        for warnings that came too fast (`PendingWarnings`).
        """
        self.damaged |= new.damage
        if not new.text:
            self.forgotten += new.count
            return RunWarning(new.stage, f"{new.count} more warnings came too fast to be shown", new.damage)
        for known in self.warnings:
            if (known.stage, known.text) == (new.stage, new.text):
                before = known.count
                known.count += new.count
                return known if len(str(known.count)) > len(str(before)) else None
        self.warnings.append(new)
        if len(self.warnings) > 2 * KEPT_WARNINGS:
            self.forgotten += self.warnings.pop(KEPT_WARNINGS).count
        return new


def snapshot(
    graph: Graph, result: RunResult, supervisor: ProcessReport, state: RunState, base_time: int
) -> RunSnapshot:
    """All that is known of a run now; `base_time` (monotonic ns) is when it began to play, 0 where it has not."""
    now = time.monotonic_ns()
    return RunSnapshot(
        graph=_utf8(graph.name),
        path=_utf8(str(graph.path)),
        mode=graph.mode,
        pid=supervisor.pid,
        state=state,
        at=now,
        seconds=(now - base_time) / SECOND if base_time else 0.0,
        reports={name: result.reports[name] for name in graph.stages if name in result.reports},  # not as they came
        processes={name: result.processes[name] for name in graph.processes if name in result.processes},
        supervisor=supervisor,
        queues={link.id: link.queue for link in graph.links},
        warnings=sum(warning.count for warning in result.warnings) + result.forgotten,
        damaged=result.damaged,
        refused=result.refused,
    )


def _utf8(text: str) -> str:
    """`text` in characters that UTF-8 has: a file's name may hold bytes that are none."""
    return text.encode(errors="backslashreplace").decode()


class PendingWarnings:
    """A worker's warnings that are not sent yet, so few that no number of them holds up anything else.

    Each text is kept once with its count, and of different texts the first `MAX_PENDING_TEXTS`; of the others only
    their number is.
    """

    def __init__(self) -> None:
        self._texts: Counter[tuple[str, str, bool]] = Counter()
        self._others: Counter[tuple[str, str, bool]] = Counter()

    def add(self, stage: str, text: str, damage: bool) -> None:
        key = (stage, text, damage)
        if key in self._texts or len(self._texts) < MAX_PENDING_TEXTS:
            self._texts[key] += 1
        else:
            self._others[stage, "", damage] += 1

    def take(self) -> list[RunWarning]:
        """All that have been added since the last call."""
        taken = [RunWarning(*key, count) for kept in (self._texts, self._others) for key, count in kept.items()]
        self._texts.clear()
        self._others.clear()
        return taken


class RunListener:
    """Who is told what workers say."""

    def reported(self, name: str, process: ProcessReport, reports: list[Report]) -> None:
        """A worker has said how far its stages are."""

    def traced(self, name: str, events: list[TraceEvent], lost: int) -> None:
        """A worker has said what its stages took and sent."""

    def warned(self, warning: RunWarning) -> None:
        """A stage, or its worker, has something to tell the user."""

    def rejoined(self, interruption: Interruption) -> None:
        """A process has been restarted, and the others go on with it."""

    def refused(self, count: int) -> None:
        """So many messages on the control socket have come from strangers."""
