"""Where a replay spends its CPU time: a flame graph of all its processes, from stages down to what libraries compute.

Each process samples itself, some 200 times a second and by the system's clocks of its threads, while the recording is
played, looped to about `--seconds`. Imports and the loading of models are left out. `--svg` draws the picture of
docs/performance.md. What it measures is where the time goes, not how fast that is: sampling costs a few per cent.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import flame
from benchmarks.clips import add_clip_argument, read_clip
from benchmarks.commands import ROOT
from benchmarks.flame.drawing import flame_graph
from benchmarks.flame.sampler import FOLDER_VARIABLE, Sampler
from benchmarks.flame.tree import Node, kernels, read
from benchmarks.outcome import Outcome, add_output_arguments
from benchmarks.playing import replay_clip
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.errors import EmopipeError

HELP = "where a replay spends its CPU time, as a flame graph"
INSIDE = Path(flame.__file__).parent / "inside"
SHOWN_KERNELS = 12


@dataclass
class Flame(Outcome):
    """What was measured, with its tree."""

    root: Node = None  # type: ignore[assignment]  # a field behind those with defaults
    frames: int = 1

    def picture(self, note: str) -> str:
        return flame_graph(self.title, self.root, MS * self.frames, "ms", f"ms of CPU a frame; {note}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_clip_argument(parser, 15.0, "s of recording, looped")
    parser.add_argument(
        "--layout",
        choices=("stages", "auto"),
        default="stages",
        help="a process a stage, or as suits the cores (default: %(default)s)",
    )
    add_output_arguments(parser)


def measure(arguments: argparse.Namespace) -> Outcome:
    if sys.platform != "linux":
        raise EmopipeError("bench flame reads the clocks of threads as Linux numbers them: run it on Linux")
    clip = read_clip(arguments.clip)
    with TemporaryDirectory(prefix="emopipe-") as name:
        folder = Path(name)
        with sampled(folder):
            times, out = clip.times(arguments.seconds), folder / "results.jsonl"
            result = replay_clip(clip.path, times, out, layout=arguments.layout)
        root, start = read(folder, "all processes")
    frames = result.reports["capture"].counters["frames"]
    if not frames:
        raise EmopipeError(f"{clip.path}: no picture of it could be decoded")
    ms = MS * frames
    processes = {each.name: each.ns / ms for each in root.sorted()}
    computed = [
        {"process": process, "what": what, "ms a frame": ns / ms}
        for process, what, ns in list(kernels(root))[:SHOWN_KERNELS]
    ]
    return Flame(
        f"Where the CPU time goes: replay of {clip}, {times} times",
        {
            "frames": frames,
            "cpu_ms": root.ns / ms,
            "start_s": start / SECOND,
            "stage_cpu_ms": processes,
            "kernels": computed,
        },
        [
            (
                f"CPU ms a frame of {frames}; imports and loading, {start / SECOND:.1f} s in all, left out",
                [{"process": name, "ms a frame": ms} for name, ms in processes.items()],
            ),
            ("What libraries compute", computed),
        ],
        root=root,
        frames=frames,
    )


@contextmanager
def sampled(folder: Path) -> Iterator[None]:
    """Let this process, and all Python that it starts, write their samples into a folder."""
    before, interval = dict(os.environ), sys.getswitchinterval()
    path = [str(INSIDE), str(ROOT), os.environ.get("PYTHONPATH", "")]
    os.environ |= {FOLDER_VARIABLE: str(folder), "PYTHONPATH": os.pathsep.join(filter(None, path))}
    sampler = Sampler(str(folder))
    sampler.start()
    try:
        yield
    finally:
        sampler.stop()
        sys.setswitchinterval(interval)
        for name in (FOLDER_VARIABLE, "PYTHONPATH"):
            os.environ.pop(name)
        os.environ |= before
