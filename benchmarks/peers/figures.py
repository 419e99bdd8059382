"""Figures of a run of `benchmarks.peers`: tables, and violations."""

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.figures import percentiles, slope
from benchmarks.peers.crowd import STEADY_PEER, Peers
from benchmarks.procfs import Sample
from benchmarks.subscriber import Arrivals
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.graph.spec import Graph
from emopipe.pipeline.runtime.result import RunResult

SERVER = "web"  # the process that serves WebRTC
WARM_UP_SHARE = 1 / 3  # of the time, left out of the slopes: PyTorch keeps kernels for each length of window it meets
SETTLE_S = 10.0  # s into a stream from which on its clocks are known by several sender reports
MAX_SILENCE_S = 5.0  # s without a result that the steady peer must not see


@dataclass
class Measured:
    """All that a run has left behind: samples by process with their times (s from the first), and the rest."""

    peers: Peers
    result: RunResult
    streams: Mapping[str, Arrivals]
    samples: dict[str, list[tuple[float, Sample]]]
    marks: list[dict[str, float]]
    unended: list[str]


def processes(samples: Mapping[str, Sequence[tuple[float, Sample]]]) -> list[dict[str, object]]:
    """A line for each worker process; slopes leave the warm-up out, `begin` is its end."""
    rows: list[dict[str, object]] = []
    for name, taken in samples.items():
        if not taken:
            continue
        kept = [each for each in taken if each[0] >= WARM_UP_SHARE * taken[-1][0]]
        (begin, first), (end, last) = kept[0], kept[-1]
        grows = slope([at / 3600 for at, _ in kept], [each.memory for _, each in kept])
        rows.append(
            {
                "process": name,
                "MB begin": first.memory,
                "MB end": last.memory,
                "MB/h": grows.rise,
                "± s.e.": grows.error,
                "spread MB": grows.spread,
                "threads": f"{first.threads} → {last.threads}",
                "files": f"{first.files} → {last.files}",
                "cores": (last.cpu - first.cpu) / (end - begin) if end > begin else math.nan,
            }
        )
    return rows


def sync(marks: Sequence[Mapping[str, float]]) -> list[dict[str, object]]:
    """The offset of the steady peer's sound from its video: median, extremes and drift; at first, and once settled."""
    found = [(each["at"], each["offset_ms"]) for each in marks if "offset_ms" in each]
    parts = {
        f"first {SETTLE_S:g} s": [each for each in found if each[0] < SETTLE_S],
        "from then on": [each for each in found if each[0] >= SETTLE_S],
    }
    rows: list[dict[str, object]] = []
    for part, own in parts.items():
        offsets = [offset for _, offset in own]
        low, middle, high = percentiles(offsets, (0, 50, 100))
        drift = slope([at for at, _ in own], offsets)
        when = {"marks": part, "number": len(own), "median ms": middle, "least ms": low, "most ms": high}
        rows.append(when | {"drift ppm": 1000 * drift.rise, "± s.e.": 1000 * drift.error, "spread ms": drift.spread})
    return rows


def came_and_went(measured: Measured) -> dict[str, object]:
    """The numbers of peers that joined, left and were killed, and how soon the latter were missed."""
    peers = measured.peers
    missed = [
        heard.ended / SECOND - at
        for name, at in peers.killed.items()
        if (heard := measured.streams.get(name)) is not None and heard.ended
    ]
    p50, most = percentiles(missed, (50, 100))
    return {
        "joined": peers.joined,
        "left": peers.left,
        "killed": len(peers.killed),
        "missed after s, p50": p50,
        "at most": most,
        "streams ended": sum(bool(heard.ended) for heard in measured.streams.values()),
        "never ended": len(measured.unended),
        "lost": len(peers.lost),
    }


def latency(streams: Mapping[str, Arrivals]) -> list[dict[str, object]]:
    """The age of results from capture to subscriber, and the longest silence between two results."""
    groups = {STEADY_PEER: [STEADY_PEER], "others": [name for name in streams if name != STEADY_PEER]}
    rows: list[dict[str, object]] = []
    for group, names in groups.items():
        times = [streams[name].times for name in names if name in streams]
        p50, p95, p99, most = percentiles([(a - c) / MS for each in times for _, c, a in each], (50, 95, 99, 100))
        counts = {"results": sum(map(len, times)), "forced": sum(streams[n].forced for n in names if n in streams)}
        ages = {"p50 ms": p50, "p95 ms": p95, "p99 ms": p99, "oldest ms": most}
        longest = {"longest silence s": max(map(silence, times), default=math.nan)}
        rows.append({"peer": group, **counts, **ages, **longest})
    return rows


def silence(times: Sequence[tuple[int, int, int]]) -> float:
    """The longest time between two results of a frame, in s; nan where there are not two."""
    arrivals = [arrived for _, _, arrived in times]
    return max((b - a for a, b in itertools.pairwise(arrivals)), default=math.nan) / SECOND


def gaps(result: RunResult, graph: Graph, marks: Sequence[Mapping[str, float]]) -> list[dict[str, object]]:
    """The longest that each input in the server's process received nothing while a stream was open; the loop's lag."""
    rows: list[dict[str, object]] = [
        {"in the process that serves WebRTC": f"{name}.{port} received nothing for", "ms": gap / MS}
        for name in graph.processes[SERVER]
        for port, gap in result.reports[name].gaps.items()
    ]
    lags = [each["lag_ms"] for each in marks if "lag_ms" in each]
    for percent, what in ((50, "median of 10 s"), (100, "longest")):
        rows.append(
            {"in the process that serves WebRTC": f"event loop late, {what}", "ms": percentiles(lags, [percent])[0]}
        )
    return rows


def drops(result: RunResult) -> list[dict[str, object]]:
    """The messages that were dropped, by place."""
    names = ("skipped", "dropped", "overflowed", "late_faces", "late_speech", "stale", "damaged", "failed", "refused")
    rows: list[dict[str, object]] = []
    for report in result.reports.values():
        own = [(report.stage, name, report.counters.get(name, 0)) for name in names]
        own += [(str(link), why, n) for link, each in report.links.items() for why, n in each.dropped.items()]
        rows += [{"dropped at": place, "why": why, "messages": n} for place, why, n in own if n]
    return rows


def wrong(measured: Measured) -> list[str]:
    """The violations, in words: what must not happen, and did."""
    found = list(measured.peers.lost)
    found += [f"{name}: its stream never ended" for name in measured.unended]
    steady = measured.streams.get(STEADY_PEER)
    if steady is None or len(steady.times) < 2:
        found.append(f"{STEADY_PEER}: no results came")
    elif silence(steady.times) > MAX_SILENCE_S:
        found.append(f"{STEADY_PEER}: no result for {silence(steady.times):.1f} s")
    return found
