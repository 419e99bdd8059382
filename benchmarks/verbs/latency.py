"""The latency that the pipeline adds: a recording at its own pace, from capture to sink, beside the kernels' own times.

The kernels are those between the two: detect, crop, classify; measured just before, with nothing else running: one
picture after the other, and at the recording's pace, at which caches have forgotten them and cores wake up for each.
"""

import argparse
import statistics
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.clips import add_clip_argument, add_layout_argument, add_rounds_argument, read_clip
from benchmarks.kernels import FACE_KERNELS, Kernels
from benchmarks.outcome import Outcome, add_output_arguments, bars, spread, spread_table
from benchmarks.playing import replay_clip
from emopipe.pipeline.clock import MS
from emopipe.pipeline.report import Report
from emopipe.pipeline.text import count

HELP = "the time from capture to sink at a recording's own pace, beside the kernels' own"
SINK = "out0"
SHOWN = {
    "p50_over_kernels": ("p50 ÷ kernels", ""),
    "p50_over_paced_kernels": ("p50 ÷ kernels at that pace", ""),
    "p99_over_p50": ("p99 ÷ p50", ""),
    "kernels_ms": ("kernels alone", "ms"),
    "paced_kernels_ms": ("kernels alone, at that pace", "ms"),
    "p50_ms": ("p50", "ms"),
    "p95_ms": ("p95", "ms"),
    "p99_ms": ("p99", "ms"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_clip_argument(parser, 12.0, "s of recording, looped, and as long in real time")
    add_rounds_argument(parser)
    add_layout_argument(parser)
    add_output_arguments(parser)


def measure(arguments: argparse.Namespace) -> Outcome:
    clip = read_clip(arguments.clip)
    times = clip.times(arguments.seconds)
    rounds: list[dict[str, float]] = []
    with TemporaryDirectory(prefix="emopipe-") as folder, Kernels() as kernels:
        kernels.warm_up(clip.path)
        for _ in range(arguments.rounds):
            own, paced = (_alone(kernels, clip.path, realtime) for realtime in (False, True))
            out = Path(folder) / "results.jsonl"
            result = replay_clip(clip.path, times, out, layout=arguments.layout, realtime=True)
            age = result.reports[SINK].age
            total, at_pace = (sum(ms[name] for name in FACE_KERNELS) for ms in (own, paced))
            p50, p95, p99 = (age.percentile(percent) / MS for percent in (50, 95, 99))
            rounds.append(
                {
                    "p50_over_kernels": p50 / total,
                    "p50_over_paced_kernels": p50 / at_pace,
                    "p99_over_p50": p99 / p50,
                    "kernels_ms": total,
                    "paced_kernels_ms": at_pace,
                    "p50_ms": p50,
                    "p95_ms": p95,
                    "p99_ms": p99,
                }
            )
    found = spread(rounds)
    hops = _hops(result.reports[SINK])
    return Outcome(
        f"Latency of {clip} at its own pace, {times} times; {count(arguments.rounds, 'round')} in turn",
        {
            **{name: median for name, (median, _, _) in found.items()},
            "results": age.count,
            "kernel_ms": own,
            "paced_kernel_ms": paced,
            "hops_ms": hops,
            "processes": sorted(result.processes),
            "rounds": rounds,
            "spread": found,
        },
        [
            (f"{age.count} results a round", spread_table(found)),
            (
                "The kernels alone, median ms a call",
                [{"kernel": name, "ms": ms, "at the pace": paced[name]} for name, ms in own.items()],
            ),
            ("On the way, ms", hops),
        ],
        bars(found, SHOWN),
    )


def _alone(kernels: Kernels, clip: Path, realtime: bool) -> dict[str, float]:
    """The median ms that each kernel takes a call."""
    kernels.times.clear()
    kernels.loop(clip, 1, realtime=realtime)
    return {name: 1000 * statistics.median(taken) for name, taken in kernels.times.items()}


def _hops(report: Report) -> list[dict[str, object]]:
    """How long results waited for each stage, and in it."""
    return [
        {
            "stage": stage,
            **{
                f"{name} p{percent}": latency.percentile(percent) / MS
                for name, latency in (("waited", hop.queued), ("worked", hop.working))
                for percent in (50, 99)
            },
        }
        for stage, hop in report.hops.items()
    ]
