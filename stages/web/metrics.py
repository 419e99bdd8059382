"""A run's figures as Prometheus reads them.

Names and units are Prometheus' own conventions: seconds, bytes, `_total` for what only grows. No label holds a stream:
callers choose those names, there may be thousands, and each would be a time series for ever. What is told of streams
is their sum; `emopipe top --json` has each.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.report import BUCKETS_PER_OCTAVE, Latency, RunSnapshot

if TYPE_CHECKING:  # both take their time to import
    from aiohttp import web
    from prometheus_client.core import Metric

BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
MAX_COUNTERS = 100  # of one stage: an author may name them as they like

Row = tuple[list[str], float]  # the labels' values, and the value


def answer_with(snapshot: Callable[[], RunSnapshot | None]) -> "Callable[[web.Request], Awaitable[web.Response]]":
    """The handler of `/metrics`; `snapshot` gives the run as it is, or None where nobody knows yet."""

    async def answer(request: "web.Request") -> "web.Response":
        from aiohttp import web

        if (run := snapshot()) is None:
            raise web.HTTPServiceUnavailable(text="The run has not begun yet.", headers={"Retry-After": "1"})
        content, content_type = exposition(run, request.headers.get("Accept", ""))
        return web.Response(body=content, headers={"Content-Type": content_type})

    return answer


def exposition(run: RunSnapshot, accept: str = "") -> tuple[bytes, str]:
    """The figures in the format that `accept`, an HTTP header, asks for, and that format's content type."""
    from prometheus_client import exposition as formats

    encode, content_type = formats.choose_encoder(accept)
    return encode(_Collector(run)), content_type


class _Collector:
    """What the library's encoders ask of a registry."""

    def __init__(self, run: RunSnapshot) -> None:
        self._run = run

    def collect(self) -> "Iterator[Metric]":
        yield from _of_run(self._run)
        yield from _of_links(self._run)
        yield from _of_stages(self._run)
        yield from _of_processes(self._run)


def _of_run(run: RunSnapshot) -> "Iterator[Metric]":
    from prometheus_client.core import InfoMetricFamily

    yield InfoMetricFamily("emopipe_run", "The run", {"graph": run.graph, "mode": run.mode, "state": run.state})
    yield _gauge("emopipe_run_playing_seconds", "Since the stages began to play", [], [([], run.seconds)])
    yield _gauge("emopipe_run_damaged", "1 where part of the input was lost", [], [([], int(run.damaged))])
    yield _counter("emopipe_run_warnings", "What stages told the user", [], [([], run.warnings)])
    yield _counter("emopipe_run_messages_refused", "Messages of strangers, dropped unread", [], [([], run.refused)])


def _of_links(run: RunSnapshot) -> "Iterator[Metric]":
    links = {str(link): counts for report in run.reports.values() for link, counts in report.links.items()}
    waits = [([str(link)], each.wait) for report in run.reports.values() for link, each in report.inlets.items()]
    labels = ["link"]
    counted = "emopipe_link_messages"
    yield _counter(
        f"{counted}_sent",
        "Data and gaps that a stage put into the link's queue",
        labels,
        [([link], counts.sent) for link, counts in links.items()],
    )
    yield _counter(
        f"{counted}_received",
        "Those that the receiving stage has consumed",
        labels,
        [([link], counts.received) for link, counts in links.items()],
    )
    yield _counter(
        f"{counted}_dropped",
        "Those that went to nobody, and why",
        [*labels, "reason"],
        [([link, reason], count) for link, counts in links.items() for reason, count in counts.dropped.items()],
    )
    yield _gauge(
        f"{counted}_in_flight",
        "Those that are neither consumed nor dropped yet",
        labels,
        [([link], counts.in_flight) for link, counts in links.items()],
    )
    yield _gauge(
        f"{counted}_waiting",
        "Those of them that wait in the link's queue",
        labels,
        [([link], counts.waiting) for link, counts in links.items()],
    )
    yield _gauge(
        "emopipe_link_queue_size_messages",
        "How many may wait; of each stream, where the link drops",
        labels,
        [([str(link)], queue.size) for link, queue in run.queues.items()],
    )
    yield _counter(
        "emopipe_link_gaps",
        "Messages sent that said that nothing was there",
        labels,
        [([link], counts.gaps) for link, counts in links.items()],
    )
    yield _histogram("emopipe_link_wait_seconds", "From one stage's sending to the next stage", labels, waits)


def _of_stages(run: RunSnapshot) -> "Iterator[Metric]":
    reports = run.reports.values()
    yield _counter(
        "emopipe_stage_restarts",
        "How often a stage was restarted",
        ["stage"],
        [([report.stage], report.restarts) for report in reports],
    )
    yield _gauge(
        "emopipe_stage_count",
        "What a stage counts by names of its own; nearly all of it only grows",
        ["stage", "name"],
        [([r.stage, name], count) for r in reports for name, count in list(r.counters.items())[:MAX_COUNTERS]],
    )
    ages = [([report.stage], report.age) for report in reports if report.age.count]
    yield _histogram("emopipe_sink_age_seconds", "From capture to a sink", ["sink"], ages)
    hops = [([report.stage, stage], hop) for report in reports for stage, hop in report.hops.items()]
    labels = ["sink", "stage"]
    queued, working = ([(at, hop.queued) for at, hop in hops], [(at, hop.working) for at, hop in hops])
    yield _histogram("emopipe_hop_queued_seconds", "On the way to a sink, the wait for a stage", labels, queued)
    yield _histogram("emopipe_hop_working_seconds", "On the way to a sink, the time in a stage", labels, working)


def _of_processes(run: RunSnapshot) -> "Iterator[Metric]":
    processes = [([name], process) for name, process in (("", run.supervisor), *run.processes.items())]
    labels = ["process"]
    yield _counter(
        "emopipe_process_cpu_seconds",
        'Processor time since play; process "" is the supervisor',
        labels,
        [(name, process.cpu / SECOND) for name, process in processes],
    )
    yield _gauge(
        "emopipe_process_resident_memory_bytes",
        "Resident memory",
        labels,
        [(name, process.memory) for name, process in processes],
    )
    yield _gauge(
        "emopipe_process_open_fds",
        "Open files and sockets",
        labels,
        [(name, process.descriptors) for name, process in processes],
    )
    yield _gauge("emopipe_process_threads", "Threads", labels, [(name, each.threads) for name, each in processes])


def _counter(name: str, text: str, labels: list[str], rows: Sequence[Row]) -> "Metric":
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(name, text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def _gauge(name: str, text: str, labels: list[str], rows: Sequence[Row]) -> "Metric":
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(name, text, labels=labels)
    for values, value in rows:
        family.add_metric(values, value)
    return family


def _histogram(name: str, text: str, labels: list[str], latencies: Iterable[tuple[list[str], Latency]]) -> "Metric":
    from prometheus_client.core import HistogramMetricFamily

    histogram = HistogramMetricFamily(name, text, labels=labels)
    for values, latency in latencies:
        counts = [0] * (len(BOUNDS_S) + 1)
        for bucket, count in latency.buckets.items():
            seconds = 2 ** (bucket / BUCKETS_PER_OCTAVE) / SECOND
            counts[next((n for n, bound in enumerate(BOUNDS_S) if seconds <= bound), len(BOUNDS_S))] += count
        total, cumulative = 0, []
        for bound, count in zip([*map(str, BOUNDS_S), "+Inf"], counts, strict=True):
            total += count
            cumulative.append((bound, total))
        histogram.add_metric(values, cumulative, latency.total / SECOND)
    return histogram
