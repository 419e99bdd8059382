"""The throughput of a replay, beside what the cores could do.

A bare loop in one process over the very same kernels, the default graph with a process a stage, and in the layout that
suits the cores (`layout = "auto"`), all in turn, on the recording looped to about `--seconds`. The limit is what all
cores could do if the loop's work spread over them without loss: cores / CPU time a frame.
"""

import argparse
import filecmp
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.clips import add_clip_argument, add_rounds_argument, read_clip
from benchmarks.kernels import Kernels, measured
from benchmarks.outcome import Outcome, add_output_arguments, bars, spread, spread_table
from benchmarks.playing import cpu_seconds, replay_clip
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.graph.process_layout import cores
from emopipe.pipeline.runtime.result import RunResult
from emopipe.pipeline.text import count

HELP = "throughput, beside a bare loop over the same kernels and what the cores could do"
LAYOUTS = {"pipeline": "stages", "auto": "auto"}
SHOWN = {
    "pipeline_over_limit": ("a process a stage ÷ limit", ""),
    "auto_over_limit": ("chosen layout ÷ limit", ""),
    "auto_cpu_over_bare": ("CPU, chosen layout ÷ bare loop", ""),
    "limit_per_s": ("limit of all cores", "frames/s"),
    "pipeline_per_s": ("a process a stage", "frames/s"),
    "auto_per_s": ("chosen layout", "frames/s"),
    "bare_per_s": ("bare loop", "frames/s"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_clip_argument(parser, 15.0, "s of recording, looped")
    add_rounds_argument(parser)
    add_output_arguments(parser)


def measure(arguments: argparse.Namespace) -> Outcome:
    clip = read_clip(arguments.clip)
    times = clip.times(arguments.seconds)
    rounds: list[dict[str, float]] = []
    with TemporaryDirectory(prefix="emopipe-") as name, Kernels() as kernels:
        outs = {each: Path(name) / f"{each}.jsonl" for each in LAYOUTS}
        kernels.warm_up(clip.path)
        for _ in range(arguments.rounds):
            frames, wall, cpu = measured(lambda: kernels.loop(clip.path, times))
            results = {
                each: replay_clip(clip.path, times, outs[each], layout=layout) for each, layout in LAYOUTS.items()
            }
            rounds.append(_round(frames, wall, cpu, results))
        same = filecmp.cmp(*outs.values(), shallow=False)
    found = spread(rounds)
    stages = {name: process.cpu / SECOND * 1000 / frames for name, process in results["pipeline"].processes.items()}
    return Outcome(
        f"Replay of {clip}, {times} times; {count(arguments.rounds, 'round')} in turn",
        {
            **{name: median for name, (median, _, _) in found.items()},
            "frames": frames,
            "same_results": same,
            "stage_cpu_ms": stages,
            "processes": {each: sorted(result.processes) for each, result in results.items()},
            "rounds": rounds,
            "spread": found,
        },
        [
            (f"{frames} frames a round", spread_table(found)),
            (
                "CPU ms a frame with a process a stage, in the last round",
                [{"stage": name, "ms": ms} for name, ms in sorted(stages.items(), key=lambda pair: -pair[1])],
            ),
        ],
        bars(found, SHOWN),
        [] if same else ["the two layouts gave different results"],
    )


def _round(frames: int, wall: float, cpu: float, results: dict[str, RunResult]) -> dict[str, float]:
    limit = cores() * frames / cpu
    row = {"bare_per_s": frames / wall, "bare_cpu_ms": 1000 * cpu / frames, "limit_per_s": limit}
    for name, result in results.items():
        row[f"{name}_per_s"] = frames / result.seconds
        row[f"{name}_cpu_ms"] = 1000 * cpu_seconds(result) / frames
        row[f"{name}_over_limit"] = frames / result.seconds / limit
        row[f"{name}_cpu_over_bare"] = cpu_seconds(result) / cpu
    return row
