"""Latency and drops of N recordings at once through one live graph: 1, 2, 4, 8 streams of 720p at 30 frames a second.

    python -m benchmarks.live clip.mp4 [--streams 1 2 4 8] [--seconds 30] [--size 1280x720] [--layout vision]
        [--set stages.facial.batch_size=4] [--json FILE]

Each stream is a source of its own that plays the recording over and over as a camera would (`benchmarks.live.camera`;
scaled before the measurement, if it is of another size). All share the other stages, and a subscriber receives the
results. They begin at the same moment, so that their frames come together: the worst case.

Ages count from when a picture was due, decoded, to its result at the subscriber. Beside them stand the kernels' own
times, measured just before with nothing else running. Where the machine can do no more, frames must be dropped evenly,
ages must stay bounded, and every frame must be accounted for: offered = results + dropped. Exit code 1 where one is
not.

Layouts say which stages share a process: `stages` none of them (the captures are together), `vision` captures and
detection, so that no picture has to travel, `halves` also what classifies faces, beside one process for the voice and
one for results. It means nothing on a machine that does anything else.
"""

import argparse
import asyncio
import statistics
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import msgspec

from benchmarks.figures import evenness, machine, percentiles, table, write_json
from benchmarks.live.camera import FPS, load, prepare
from benchmarks.subscriber import Arrivals, Subscriber
from emopipe.graphs.ready import default_graph
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.graph.load import graph_from_table, read_table
from emopipe.pipeline.report import HopLatency, Latency
from emopipe.pipeline.runtime.result import RunResult
from emopipe.pipeline.runtime.supervisor import Supervisor
from emopipe.pipeline.telemetry.audit import audit
from emopipe.stages.media.frames import FrameConverter

LAYOUTS: dict[str, dict[str, str]] = {
    "stages": {"capture": "captures"},
    "vision": {"capture": "vision", "face-detection": "vision"},
    "halves": {
        "capture": "vision",
        "face-detection": "vision",
        "facial-inference": "vision",
        "speech-windows": "voice",
        "speech-inference": "voice",
        "fusion": "results",
        "publish": "results",
    },
}
FACE_KERNELS = ("convert", "detect", "crop", "classify face")  # what a picture needs


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


def live_table(clip: Path, streams: int, seconds: float, layout: str, endpoint: str) -> dict[str, Any]:
    """The default graph, live, with `streams` sources that play `clip`, to one subscriber."""
    table = read_table(default_graph())
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
        stage.update(_process(layout, stage["use"]))
    for capture in captures:
        played = {"use": "benchmarks.live.camera:PlayedCamera", "uri": str(clip), "stream": capture, "seconds": seconds}
        stages[capture] = played | _process(layout, "capture")
    published = {"use": "publish", "inputs": results, "endpoint": endpoint, "subscribers": 1}
    stages["publish"] = published | _process(layout, "publish")
    table["pipeline"] = {"name": "live", "mode": "live"}
    return table


def play(
    clip: Path, streams: int, seconds: float, layout: str, folder: Path, overrides: Sequence[str] = ()
) -> tuple[RunResult, dict[str, Arrivals]]:
    """Run `streams` of the recording for `seconds`; what the stages and what a subscriber say of it."""
    endpoint = f"ipc://{folder}/results"
    table = live_table(clip, streams, seconds, layout, endpoint)
    with Subscriber(endpoint) as subscriber:
        result = asyncio.run(Supervisor(graph_from_table(table, default_graph(), overrides)).run())
        subscriber.stop(timeout_s=5)
    return result, dict(subscriber.streams)


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


def row(result: RunResult, heard: Mapping[str, Arrivals], kept: Mapping[str, Account]) -> dict[str, object]:
    """One line of the table."""
    base_time = result.reports[next(iter(kept))].counters["base_time_ns"]
    ages = [age / MS for stream in heard.values() for age in stream.ages(base_time)]
    p50, p95, p99 = percentiles(ages)
    results = [account.results for account in kept.values()]
    offered = sum(account.offered for account in kept.values())
    return {
        "streams": len(kept),
        "offered/s": offered / result.seconds,
        "results/s": sum(results) / result.seconds,
        "dropped, %": 100 * sum(account.dropped for account in kept.values()) / offered if offered else float("nan"),
        "evenness": evenness(results),
        "p50 ms": p50,
        "p95 ms": p95,
        "p99 ms": p99,
        "oldest ms": max(ages, default=float("nan")),
        "forced": sum(stream.forced for stream in heard.values()),
        "cores used": sum(each.cpu for each in result.processes.values()) / SECOND / result.seconds,
        "lost on the way": sum(stream.lost for stream in heard.values()),
        "unaccounted": sum(abs(account.unaccounted) for account in kept.values()),
    }


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
    """The work's own times with nothing else running: median ms a call, by kernel."""
    from benchmarks.replay import Kernels  # loads models and torch

    alone, pictures = Kernels(), FrameConverter()
    alone.loop(clip, 2)
    alone.detector.close()
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


def _process(layout: str, use: str) -> dict[str, str]:
    chosen = LAYOUTS[layout].get(use)
    return {"process": chosen} if chosen else {}


def _parts(hop: HopLatency) -> tuple[tuple[str, Latency], ...]:
    return ("waited", hop.queued), ("worked", hop.working)


def _kind(name: str) -> str:
    """`capture` of `capture3`: all of them are one place."""
    return "capture" if name.startswith("capture") else name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 2, 4, 8], metavar="N", help="(default: 1 2 4 8)")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each run (default: %(default)s)")
    parser.add_argument("--size", type=size, default=(1280, 720), metavar="WxH", help="(default: 1280x720)")
    parser.add_argument("--layout", choices=LAYOUTS, default="vision", help="(default: %(default)s)")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE", help="as in run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    given = parser.parse_args()
    print(f"{given.clip.name} at {given.size[0]}×{given.size[1]}, {FPS} frames/s a stream, {given.seconds:g} s a run")
    print(", ".join([machine(), f"layout {given.layout}", *given.overrides]), end="\n\n")
    rows, dropped, ways, wrong = [], [], [], []
    with TemporaryDirectory(prefix="emopipe-") as folder:
        clip = prepare(given.clip, Path(folder), given.size)
        own = kernels(clip)
        for streams in given.streams:
            result, heard = play(clip, streams, given.seconds, given.layout, Path(folder), given.overrides)
            lost = losses(result)
            kept = accounts(result, heard, lost)
            rows.append(row(result, heard, kept))
            dropped += places(streams, lost, list(kept))
            ways += hops(result, streams)
            wrong += audit(result.reports)
            wrong += [f"{streams} streams: {name}: {each}" for name, each in kept.items() if each.unaccounted]
    alone = " + ".join(f"{name} {own[name]:.1f}" for name in FACE_KERNELS if name in own)
    total = sum(own.get(name, 0.0) for name in FACE_KERNELS)
    print(f"A frame alone, ms: {alone} = {total:.1f}\n\n{table(rows)}\n")
    print(table(dropped) if dropped else "Nothing was dropped.")
    print(f"\nms between capture and subscriber, waiting for each stage and in it:\n\n{table(ways)}")
    write_json(given.json, {"runs": rows, "dropped": dropped, "hops_ms": ways, "kernels_ms": own, "wrong": wrong})
    if wrong:
        print("\nnot accounted for:", *wrong, sep="\n  ", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
