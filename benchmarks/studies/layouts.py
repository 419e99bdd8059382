"""How fast each sensible grouping of the default graph's stages into processes is, by the number of cores.

    python -m benchmarks.studies.layouts clip.mp4 --cores 1 2 4

Against it the constants of `emopipe.pipeline.graph.process_layout` can be checked on any machine. Each grouping replays
the recording, looped to about `--seconds`, as fast as it can, and then once at its own pace, for the latency. Fewer
cores than the machine has are a matter of the processes' affinity (Linux). `auto` is what `layout = "auto"` chooses.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.clips import Clip, add_clip_argument, at_least, read_clip
from benchmarks.conditions import Conditions
from benchmarks.figures import table
from benchmarks.playing import GRAPH, cpu_seconds, default_table
from emopipe.graphs.replay import replay_table
from emopipe.pipeline.clock import MS
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.load import graph_from_table
from emopipe.pipeline.runtime.result import RunResult
from emopipe.pipeline.runtime.supervisor import Supervisor
from emopipe.pipeline.text import readable

SINK = "out0"
GROUPINGS: Mapping[str, Sequence[str] | None] = {
    "auto": None,
    "a process a stage": (),
    "capture+faces, all others": ("capture", "faces"),
    "capture+faces+facial, all others": ("capture", "faces", "facial"),
    "capture, all others": ("capture",),
    "one process": ("capture", "faces", "facial", "windows", "speech", "fusion", SINK),
}
"""The stages of the first process, the others being in a second one; none: a process each, None: left to the layout."""


def play(clip: Clip, times: int, folder: Path, first: Sequence[str] | None, realtime: bool) -> RunResult:
    """Replay a recording in one grouping."""
    layout = "auto" if first is None else "stages"
    given = replay_table(default_table(layout), [str(clip.path)], [folder / "results.jsonl"], realtime=realtime)
    given["stages"]["capture"]["loop"] = times
    for name, stage in given["stages"].items() if first else ():
        stage["process"] = "first" if name in first else "second"  # type: ignore[operator]
    return asyncio.run(Supervisor(graph_from_table(given, GRAPH)).run())


def measure(clip: Clip, seconds: float, folder: Path, grouping: str) -> dict[str, object]:
    """A row of the table."""
    first = GROUPINGS[grouping]
    fast = play(clip, clip.times(seconds), folder, first, realtime=False)
    paced = play(clip, 1, folder, first, realtime=True)
    frames = fast.reports["capture"].counters["frames"]
    return {
        "grouping": grouping,
        "processes": len(fast.processes),
        "frames/s": frames / fast.seconds,
        "CPU ms a frame": 1000 * cpu_seconds(fast) / frames,
        "p50 ms": paced.reports[SINK].age.percentile(50) / MS,
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_clip_argument(parser, 12.0, "s of recording, looped")
    parser.add_argument("--cores", type=at_least(1), nargs="+", metavar="N", help="(default: all)")
    parser.add_argument("--only", nargs="+", choices=GROUPINGS, default=list(GROUPINGS), metavar="GROUPING")
    given = parser.parse_args(arguments)
    try:
        clip = read_clip(given.clip)
        if not hasattr(os, "sched_setaffinity"):
            raise EmopipeError("the cores of a process cannot be chosen on this system: run it on Linux")
        there = sorted(os.sched_getaffinity(0))
        for number in given.cores or [len(there)]:
            if number > len(there):
                raise EmopipeError(f"--cores {number}: there are {len(there)} here")
    except EmopipeError as error:
        print(f"layouts: {readable(error)}", file=sys.stderr)
        return error.exit_code
    with Conditions() as conditions, TemporaryDirectory(prefix="emopipe-") as folder:
        try:
            for number in given.cores or [len(there)]:
                os.sched_setaffinity(0, there[:number])
                rows = [measure(clip, given.seconds, Path(folder), grouping) for grouping in given.only]
                print(f"\n{clip}, cores: {number}\n\n{table(rows)}", flush=True)
        finally:
            os.sched_setaffinity(0, there)
    print("", conditions.line, *conditions.warnings, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
