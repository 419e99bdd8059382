"""Many recordings at once through one live graph: what became of every frame, and how old results were.

Each stream is a source of its own that plays the recording over and over as a camera would (`benchmarks.live.camera`).
All share the other stages, and a subscriber receives the results. Ages count from when a picture was due, decoded, to
its result there.
"""

import argparse
import asyncio
import math
import statistics
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import msgspec

from benchmarks.figures import evenness, percentiles
from benchmarks.kernels import FACE_KERNELS, Kernels
from benchmarks.live.camera import load
from benchmarks.playing import GRAPH, cpu_seconds, default_table
from benchmarks.subscriber import Arrivals, Subscriber
from emopipe.graphs.geometry import STAGE, with_geometry
from emopipe.pipeline.clock import MS
from emopipe.pipeline.graph.load import graph_from_table
from emopipe.pipeline.graph.parse import PipelineSettings
from emopipe.pipeline.report import HopLatency, Latency
from emopipe.pipeline.runtime.result import RunResult
from emopipe.pipeline.runtime.supervisor import Supervisor
from emopipe.stages.media.frames import FrameConverter

BESIDE = "beside"
"""What runs beside the graph's processes: the supervisor, and the subscriber."""

PICTURE_KERNELS = ("convert", *FACE_KERNELS)  # what a picture needs that is decoded already


@dataclass(frozen=True)
class Lost:
    """Frames of one stream that one link dropped, and why."""

    place: str
    reason: str
    stream: str
    count: int


@dataclass(frozen=True)
class Account:
    """The account of one stream's frames; `unaccounted` is what nobody can explain."""

    offered: int
    results: int
    dropped: int
    unaccounted: int


def live_table(
    clip: Path, streams: int, seconds: float, layout: str | None, endpoint: str, geometry: bool = False
) -> dict[str, Any]:
    """The default graph, live, with `streams` sources that play `clip`, to one subscriber; `geometry`: of faces, too.

    With a process a stage all sources share one: they stand for devices, not for decoders.
    """
    table = with_geometry(default_table(layout), []) if geometry else default_table(layout)
    stages: dict[str, Any] = table["stages"]
    (source,) = (name for name, stage in stages.items() if "inputs" not in stage)
    (console,) = (name for name, stage in stages.items() if stage["use"] == "console")
    results = stages.pop(console)["inputs"]
    del stages[source]
    captures = [f"capture{number}" for number in range(1, streams + 1)]
    for stage in stages.values():
        for port, feeder in stage["inputs"].items():
            name, _, output = feeder.partition(".")
            if name == source:
                stage["inputs"][port] = [f"{capture}.{output}" for capture in captures]
    chosen = table["pipeline"].get("layout", PipelineSettings().layout)
    together = {"process": "captures"} if chosen == "stages" else {}
    for capture in captures:
        played = {"use": "benchmarks.live.camera:PlayedCamera", "uri": str(clip), "stream": capture, "seconds": seconds}
        stages[capture] = played | together
    stages["publish"] = {"use": "publish", "inputs": results, "endpoint": endpoint, "subscribers": 1}
    table["pipeline"] = {"name": "live", "mode": "live", "layout": chosen}
    return table


def play(
    clip: Path,
    streams: int,
    seconds: float,
    layout: str | None,
    folder: Path,
    overrides: Sequence[str] = (),
    geometry: bool = False,
) -> tuple[RunResult, dict[str, Arrivals], int]:
    """Run `streams` of the recording for `seconds`.

    What the stages and what a subscriber say of it, and the CPU time (ns) of these two: supervisor and subscriber.
    """
    began: list[int] = []

    def updated(result: RunResult) -> None:
        if not began:
            began.append(time.process_time_ns())

    endpoint = f"ipc://{folder}/results"
    table = live_table(clip, streams, seconds, layout, endpoint, geometry)
    with Subscriber(endpoint) as subscriber:
        result = asyncio.run(Supervisor(graph_from_table(table, GRAPH, overrides), updated=updated).run())
        subscriber.stop(timeout_s=5)
    return result, dict(subscriber.streams), time.process_time_ns() - began[0]


def losses(result: RunResult) -> list[Lost]:
    """The frames that gave no result, by stream: replaced by a newer one at the source before they were
    converted, dropped by a link that carries frames or their results, or come too late for the join."""
    found = []
    for report in result.reports.values():
        place = _kind(report.stage)
        for stream, counters in report.streams.items():
            reasons = {name: counters.get(name, 0) for name in ("skipped", "damaged", "late_faces", "stale")}
            found += [Lost(place, reason, stream, count) for reason, count in reasons.items() if count]
        for link, counts in report.links.items():
            if link.output in ("audio", "windows") or link.input == "speech":
                continue
            if (link.receiver, link.input) == (STAGE, "video"):  # its faces have a result all the same, unmeasured
                continue
            for stream, own in counts.streams.items():
                at = str(msgspec.structs.replace(link, sender=place))
                found += [Lost(at, reason, stream, count) for reason, count in own.dropped.items() if count]
    return found


def accounts(result: RunResult, heard: Mapping[str, Arrivals], lost: Sequence[Lost]) -> dict[str, Account]:
    """The account of each stream's frames."""
    found = {}
    for capture in (report for name, report in result.reports.items() if _kind(name) == "capture"):
        stream = capture.stage
        offered = capture.counters["frames"]
        dropped = sum(each.count for each in lost if each.stream == stream)
        results = len(heard[stream].times) if stream in heard else 0
        found[stream] = Account(offered, results, dropped, offered - results - dropped)
    return found


def row(result: RunResult, heard: Mapping[str, Arrivals], kept: Mapping[str, Account]) -> dict[str, float]:
    """What one run says of rates, ages, and drops."""
    base_time = result.reports[next(iter(kept))].counters["base_time_ns"]
    ages = [age / MS for stream in heard.values() for age in stream.ages(base_time)]
    p50, p95, p99 = percentiles(ages)
    results = [account.results for account in kept.values()]
    offered = sum(account.offered for account in kept.values())
    dropped = sum(account.dropped for account in kept.values())
    cpu = cpu_seconds(result)
    return {
        "streams": len(kept),
        "offered_per_s": offered / result.seconds,
        "results_per_s": sum(results) / result.seconds,
        "dropped": dropped,
        "dropped_share": dropped / offered if offered else math.nan,
        "evenness": evenness(results),
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "oldest_ms": max(ages, default=math.nan),
        "forced": sum(stream.forced for stream in heard.values()),
        "cores_used": cpu / result.seconds,
        "cpu_ms_a_result": 1000 * cpu / sum(results) if sum(results) else math.nan,
        "lost_on_the_way": sum(stream.lost for stream in heard.values()),
        "unaccounted": sum(abs(account.unaccounted) for account in kept.values()),
    }


def processes(result: RunResult, kept: Mapping[str, Account], beside: int) -> dict[str, float]:
    """The CPU time of each process in ms a result; of which `beside` (ns) ran beside the graph's own."""
    results = sum(account.results for account in kept.values())
    cpu = {name: process.cpu for name, process in sorted(result.processes.items())} | {BESIDE: beside}
    return {name: ns / MS / results if results else math.nan for name, ns in cpu.items()}


def speaking(result: RunResult) -> float:
    """The share of the time in which somebody was heard to speak, so that there was work with it."""
    counters = result.reports["windows"].counters
    spoken = counters.get("windows", 0)
    return spoken / (spoken + counters.get("silent_hops", 0)) if spoken else 0.0


def places(streams: int, lost: Sequence[Lost], names: Sequence[str]) -> list[dict[str, object]]:
    """The places where frames were dropped, and how evenly over the streams `names`."""
    rows: list[dict[str, object]] = []
    for place, reason in sorted({(each.place, each.reason) for each in lost}):
        own = Counter(dict.fromkeys(names, 0))
        for each in lost:
            if (each.place, each.reason) == (place, reason):
                own[each.stream] += each.count
        if total := sum(own.values()):
            shares = {"evenness": evenness(own.values()), "by stream": " ".join(map(str, own.values()))}
            rows.append({"streams": streams, "dropped at": place, "why": reason, "frames": total} | shares)
    return rows


def hops(result: RunResult, streams: int) -> list[dict[str, object]]:
    """The time between capture and subscriber, stage by stage: waiting for it, and in it."""
    rows: list[dict[str, object]] = []
    for stage, hop in result.reports["publish"].hops.items():
        times = {f"{name} p{p}": each.percentile(p) / MS for name, each in _parts(hop) for p in (50, 95, 99)}
        rows.append({"streams": streams, "stage": stage} | times)
    return rows


def kernels(clip: Path) -> dict[str, float]:
    """The work's own times with nothing else running: median ms a call, by kernel.

    Raises:
        MediaError: there is no face in the recording.
    """
    pictures = FrameConverter()
    with Kernels() as alone:
        alone.warm_up(clip)
        alone.loop(clip, 1)
    for played in load(str(clip)):
        if isinstance(played.frame, av.VideoFrame):
            with alone.timed("convert"):
                pictures.read(played.frame)
    return {name: 1000 * statistics.median(times) for name, times in alone.times.items()}


def size(text: str) -> tuple[int, int]:
    """`1280x720` as width and height."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) % 2 == int(height) % 2 == 0 < int(width)):
        raise argparse.ArgumentTypeError(f"{text!r} is no size, expected even numbers such as 1280x720")
    return int(width), int(height)


def _parts(hop: HopLatency) -> tuple[tuple[str, Latency], ...]:
    return ("waited", hop.queued), ("worked", hop.working)


def _kind(name: str) -> str:
    """`capture` of `capture3`: all of them are one place."""
    return "capture" if name.startswith("capture") else name
