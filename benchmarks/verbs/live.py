"""Many streams of 720p at 30 frames a second at once through one live graph: latency, and what is left out.

Each stream is a source of its own that plays the recording over and over as a camera would (scaled before, if it is of
another size). All share the other stages, and begin at the same moment, so that their frames come together: the worst
case. Ages count from when a picture was due, decoded, to its result at a subscriber.

Where the machine can do no more, frames must be dropped evenly, ages must stay bounded, and every frame must be
accounted for: offered = results + dropped. The exit code is 1 where one is not.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.chart import Bar
from benchmarks.clips import add_clip_argument, add_layout_argument, add_rounds_argument, at_least, read_clip
from benchmarks.live.camera import FPS, load, prepare
from benchmarks.live.measurement import (
    PICTURE_KERNELS,
    accounts,
    hops,
    kernels,
    losses,
    places,
    play,
    processes,
    row,
    size,
    speaking,
)
from benchmarks.outcome import Outcome, add_output_arguments, spread
from emopipe.pipeline.telemetry.audit import audit
from emopipe.pipeline.text import count

HELP = "latency and drops of many streams at once"
BARS = {"p95_ms": "ms", "results_per_s": "results/s"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_clip_argument(parser, 8.0, "s of each run")
    parser.add_argument(
        "--streams", type=at_least(1), nargs="+", default=[1, 4, 8], metavar="N", help="(default: 1 4 8)"
    )
    add_rounds_argument(parser, 2)
    parser.add_argument("--size", type=size, default=(1280, 720), metavar="WxH", help="(default: 1280x720)")
    add_layout_argument(parser)
    parser.add_argument(
        "--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE", help="as in `emopipe run`"
    )
    parser.add_argument("--geometry", action="store_true", help="with face-geometry, as in `emopipe replay`")
    add_output_arguments(parser)


def measure(arguments: argparse.Namespace) -> Outcome:
    clip = read_clip(arguments.clip)
    rounds: dict[int, list[dict[str, float]]] = {streams: [] for streams in arguments.streams}
    cpu: dict[int, list[dict[str, float]]] = {streams: [] for streams in arguments.streams}
    dropped: list[dict[str, object]] = []
    ways: list[dict[str, object]] = []
    wrong: list[str] = []
    with TemporaryDirectory(prefix="emopipe-") as name:
        folder = Path(name)
        played = prepare(clip.path, folder, arguments.size)
        own = kernels(played)
        loop = max(each.end for each in load(str(played)))
        for number in range(arguments.rounds):
            for streams, of in rounds.items():
                result, heard, beside = play(
                    played,
                    streams,
                    arguments.seconds,
                    arguments.layout,
                    folder,
                    arguments.overrides,
                    arguments.geometry,
                )
                lost = losses(result)
                kept = accounts(result, heard, lost)
                of.append(row(result, heard, kept))
                cpu[streams].append(processes(result, kept, beside))
                wrong += audit(result.reports)
                wrong += [f"{streams} streams: {each}: {its}" for each, its in kept.items() if its.unaccounted]
                if number == 0:
                    dropped += places(streams, lost, list(kept))
                    ways += hops(result, streams)
    found = {streams: spread(of) for streams, of in rounds.items()}
    medians = {streams: {name: values[0] for name, values in its.items()} for streams, its in found.items()}
    by_process = {streams: {name: each[0] for name, each in spread(of).items()} for streams, of in cpu.items()}
    width, height = arguments.size
    return Outcome(
        f"Live{', with geometry' * arguments.geometry}: {clip.path.name} at {width}×{height}, {FPS} frames/s a stream, "
        f"{arguments.seconds:g} s a run; "
        f"{count(arguments.rounds, 'round')} in turn",
        {
            "streams": medians,
            "cpu_growth": _growth(medians[max(medians)], medians[min(medians)]),
            "kernel_ms": own,
            "process_cpu_ms": by_process,
            "speaking": {"share": speaking(result), "loop_s": loop},
            "dropped_at": dropped,
            "hops_ms": ways,
            "processes": sorted(result.processes),
            "rounds": rounds,
            "spread": found,
        },
        [
            (f"A picture's kernels alone: {_alone(own)}", list(medians.values())),
            *([("Dropped, in the first round", dropped)] if dropped else []),
            (
                "CPU ms a result, process by process",
                [{"streams": streams} | its for streams, its in by_process.items()],
            ),
            ("ms between capture and subscriber, waiting for each stage and in it", ways),
        ],
        [
            Bar(f"{count(streams, 'stream')}, {name.partition('_')[0]}", *of[name], unit)
            for name, unit in BARS.items()
            for streams, of in found.items()
        ],
        wrong,
    )


def _growth(most: dict[str, float], fewest: dict[str, float]) -> float:
    """The CPU time of a result with the most streams over that with the fewest."""
    return most["cpu_ms_a_result"] / fewest["cpu_ms_a_result"]


def _alone(own: dict[str, float]) -> str:
    parts = [f"{name} {own[name]:.1f}" for name in PICTURE_KERNELS]
    return f"{' + '.join(parts)} = {sum(own[name] for name in PICTURE_KERNELS):.1f} ms"
