"""The figures for Prometheus: what its own parser reads of them is what the run has counted."""

import math
from collections.abc import Mapping

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.port import LinkId, Queue
from emopipe.pipeline.report import HopLatency, InletCounts, Latency, ProcessReport, Report, RunSnapshot
from emopipe.stages.web.metrics import MAX_COUNTERS, exposition
from tests.support.snapshots import snapshot

LINK = LinkId("faces", "faces", "facial", "faces")
OPENMETRICS = "application/openmetrics-text; version=1.0.0"


def took(*ms: int) -> Latency:
    latency = Latency()
    for each in ms:
        latency.add(each * MS)
    return latency


def run() -> RunSnapshot:
    counts = LinkCounts(
        sent=10, received=6, dropped={"oldest": 2, "age": 1}, in_flight=1, gaps=3, streams={"anna": LinkCounts()}
    )
    hops = {"facial": HopLatency(queued=took(3), working=took(8, 8))}
    return snapshot(
        Report(stage="faces", links={LINK: counts}, counters={"frames": 12}, streams={"anna": {"frames": 12}}),
        Report(stage="facial", inlets={LINK: InletCounts(delivered=7, wait=took(1, 3, 40, 40, 90_000))}, restarts=2),
        Report(stage="page", age=took(30, 50), hops=hops),
        processes={"vision": ProcessReport(pid=7, cpu=3 * SECOND, memory=50_000_000, threads=4, descriptors=20)},
        queues={LINK: Queue(size=4, policy="drop-oldest")},
        warnings=5,
        refused=9,
    )


def samples(accept: str = "") -> Mapping[tuple[str, tuple[str, ...]], float]:
    content, content_type = exposition(run(), accept)
    assert content_type.startswith("application/openmetrics-text" if accept else "text/plain")
    read = read_openmetrics if accept else read_text
    return {
        (sample.name, tuple(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in read(content.decode())
        for sample in family.samples
    }


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
def test_what_a_run_has_counted_is_what_is_read(accept: str) -> None:
    found = samples(accept)
    link = str(LINK)
    assert {
        "emopipe_link_messages_sent_total": 10,
        "emopipe_link_messages_received_total": 6,
        "emopipe_link_messages_in_flight": 1,
        "emopipe_link_gaps_total": 3,
        "emopipe_link_queue_size_messages": 4,
        "emopipe_link_wait_seconds_count": 5,
    }.items() <= {name: value for (name, labels), value in found.items() if labels == (link,)}.items()
    dropped = {labels[1]: value for (name, labels), value in found.items() if name.endswith("messages_dropped_total")}
    assert dropped == {"oldest": 2, "age": 1}
    assert found["emopipe_stage_count", ("frames", "faces")] == 12
    assert found["emopipe_stage_restarts_total", ("facial",)] == 2
    assert found["emopipe_run_warnings_total", ()] == 5
    assert found["emopipe_run_messages_refused_total", ()] == 9
    assert found["emopipe_process_cpu_seconds_total", ("vision",)] == 3
    assert found["emopipe_process_resident_memory_bytes", ("vision",)] == 50_000_000
    assert found["emopipe_process_open_fds", ("",)] == 0  # the supervisor


def test_times_are_histograms_in_seconds() -> None:
    found = samples()
    buckets = {
        labels[0]: value for (name, labels), value in found.items() if name == "emopipe_link_wait_seconds_bucket"
    }
    assert list(buckets.values()) == sorted(buckets.values())
    assert (buckets["0.002"], buckets["0.005"], buckets["0.05"], buckets["30.0"]) == (1, 2, 4, 4)
    assert buckets["+Inf"] == 5
    assert found["emopipe_link_wait_seconds_sum", (str(LINK),)] == pytest.approx(90.084)
    assert found["emopipe_sink_age_seconds_count", ("page",)] == 2
    assert math.isclose(found["emopipe_hop_working_seconds_sum", ("page", "facial")], 0.016)


def test_there_are_as_many_time_series_however_many_streams() -> None:
    few = exposition(run())[0]
    many = run()
    counts = many.reports["faces"].links[LINK]
    counts.streams = {f"stranger-{n}": LinkCounts(sent=1) for n in range(5000)}
    many.reports["faces"].streams = {f"stranger-{n}": {"frames": 1} for n in range(5000)}
    assert exposition(many)[0] == few
    assert b"anna" not in few


def test_a_stage_that_names_its_counters_without_end_is_cut() -> None:
    run_ = snapshot(Report(stage="mine", counters={f"seen_{n}": n for n in range(10_000)}))
    assert exposition(run_)[0].count(b'stage="mine"} ') - 1 == MAX_COUNTERS


def test_names_from_outside_are_escaped() -> None:
    content = exposition(snapshot(graph='a"b\nc\\'))[0].decode()
    (family,) = [each for each in read_text(content) if each.name == "emopipe_run_info"]
    assert family.samples[0].labels["graph"] == 'a"b\nc\\'
