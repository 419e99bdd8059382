"""The throughput of a replay through processes, beside what the cores could do, and the latency the pipeline adds.

    python -m benchmarks.replay clip.mp4 [--seconds 60] [--pairs 3] [--latency]

Throughput: a bare loop in one process over the very same kernels (decode, detect, crop, classify; windows of speech,
MFCC, classify) and the pipeline with a process a stage, in turn, on the recording looped to about `--seconds`. The
limit is what all cores could do if the loop's work spread over them without loss: cores / CPU time a frame. A bare
loop already uses more than one core, since MediaPipe brings threads of its own.

Latency (`--latency`): the recording at its own pace; from capture to sink, beside the kernels' own times.

It is hard on the machine, and means nothing on one that does anything else.
"""

import argparse
import asyncio
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import mediapipe
import torch

from emopipe.graphs.replay import replay_table
from emopipe.models.facial.detection import FaceDetector, crop, frame_face
from emopipe.models.facial.model import FacialModel
from emopipe.models.speech.model import SpeechModel
from emopipe.models.speech.windower import SpeechWindower, Window
from emopipe.pipeline.graph.load import graph_from_table, read_table
from emopipe.pipeline.runtime.result import RunResult
from emopipe.pipeline.runtime.supervisor import Supervisor
from emopipe.stages.media.recording import Recording
from emopipe.stages.types import AudioBlock, VideoFrame

GRAPH = Path(__file__).parent.parent / "pipeline.toml"


class Kernels:
    """The work itself, timed piece by piece (wall seconds a call)."""

    def __init__(self) -> None:
        torch.set_num_threads(1)  # as the inference stages do
        self.detector = FaceDetector()
        self.facial = FacialModel.load()
        self.speech = SpeechModel.load()
        self.times: dict[str, list[float]] = {}

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.times.setdefault(name, []).append(time.perf_counter() - began)

    def loop(self, clip: Path, times: int) -> int:
        """The recording, `times` over; the number of frames."""
        frames = 0
        start = 0
        for _ in range(times):
            windower = SpeechWindower()
            with Recording(str(clip)) as recording:
                items = iter(recording)
                while True:
                    with self.timed("decode"):
                        item = next(items, None)
                    if item is None:
                        break
                    if isinstance(item.payload, VideoFrame):
                        frames += 1
                        self.faces(item.payload, start + item.pts)
                    elif isinstance(item.payload, AudioBlock):
                        self.voice(windower, item.payload, item.pts)
            start += recording.duration + 1_000_000_000
        return frames

    def faces(self, frame: VideoFrame, pts: int) -> None:
        with self.timed("detect"):
            found = self.detector.detect(frame.small, pts)
        height, width = frame.luma.shape
        for face in found:
            with self.timed("crop"):
                cut = crop(frame.luma, frame_face(face, width, height))
            with self.timed("classify face"):
                self.facial.probabilities(cut[None])

    def voice(self, windower: SpeechWindower, block: AudioBlock, pts: int) -> None:
        with self.timed("speech windows"):
            events = windower.push(block.samples, pts)
        for event in events:
            if isinstance(event, Window):
                with self.timed("classify window"):
                    self.speech.probabilities([self.speech.row(event)])


def measured(work: Callable[[], int]) -> tuple[int, float, float]:
    """Frames, wall seconds and CPU seconds of `work`."""
    wall, cpu = time.perf_counter(), time.process_time()
    frames = work()
    return frames, time.perf_counter() - wall, time.process_time() - cpu


def run_pipeline(clip: Path, times: int, folder: str, *, realtime: bool = False) -> RunResult:
    out = Path(folder) / "results.jsonl"
    table = replay_table(read_table(GRAPH), [str(clip)], [out], realtime=realtime)
    table["stages"]["capture"]["loop"] = times
    return asyncio.run(Supervisor(graph_from_table(table, GRAPH)).run())


def throughput(clip: Path, times: int, pairs: int, folder: str) -> None:
    cores = os.cpu_count() or 1
    kernels = Kernels()
    kernels.loop(clip, 1)  # warm-up
    rows: list[dict[str, Any]] = []
    for _ in range(pairs):
        frames, wall, cpu = measured(lambda: kernels.loop(clip, times))
        result = run_pipeline(clip, times, folder)
        assert result.reports["capture"].counters["frames"] == frames
        cpu_pipeline = sum(each.cpu for each in result.processes.values()) / 1e9
        limit = cores * frames / cpu
        rows.append(
            {
                "bare loop, frames/s": frames / wall,
                "bare loop, CPU ms a frame": 1000 * cpu / frames,
                "pipeline, frames/s": frames / result.seconds,
                "pipeline, CPU ms a frame": 1000 * cpu_pipeline / frames,
                f"limit of {cores} cores, frames/s": limit,
                "pipeline / limit, %": 100 * frames / result.seconds / limit,
                "pipeline / bare loop": wall / result.seconds,
            }
        )
        used = {name: process.cpu for name, process in result.processes.items()}
        busiest = sorted(used.items(), key=lambda pair: -pair[1])
        print("  CPU ms a frame by process:", ", ".join(f"{n} {c / 1e6 / frames:.2f}" for n, c in busiest))
    print(f"\n{frames} frames, {pairs} pairs in turn; median (lowest – highest)")
    for name in rows[0]:
        values = [row[name] for row in rows]
        print(f"  {name:28} {statistics.median(values):8.2f}   ({min(values):.2f} – {max(values):.2f})")


def latency(clip: Path, times: int, folder: str) -> None:
    kernels = Kernels()
    kernels.loop(clip, 2)
    result = run_pipeline(clip, times, folder, realtime=True)
    age = result.reports["out0"].age
    print(f"\ncapture to sink at the recording's own pace, {age.count} results:")
    print("  " + "   ".join(f"p{p} {age.percentile(p) / 1e6:.1f} ms" for p in (50, 95, 99)))
    print("the kernels' own times, median ms a call:")
    total = 0.0
    for name, times_taken in kernels.times.items():
        median = 1000 * statistics.median(times_taken)
        total += median if name in ("detect", "crop", "classify face") else 0.0
        print(f"  {name:16} {median:7.2f}")
    print(f"  {'a face, in all':16} {total:7.2f}   (detect + crop + classify: what lies between capture and fusion)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--seconds", type=float, default=60.0, help="of recording, looped (default: %(default)s)")
    parser.add_argument("--pairs", type=int, default=3, help="bare loop and pipeline, in turn (default: %(default)s)")
    parser.add_argument("--latency", action="store_true", help="measure latency instead of throughput")
    arguments = parser.parse_args()
    with av.open(str(arguments.clip)) as container:
        duration = (container.duration or av.time_base) / av.time_base
        video = container.streams.video[0]
        what = f"{video.width}×{video.height} at {float(video.average_rate or 0):.2f} frames/s, {duration:.2f} s"
    times = max(1, round(arguments.seconds / duration))
    print(f"{arguments.clip.name}: {what}, {times} times")
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, mediapipe {mediapipe.__version__}"
    print(f"{os.cpu_count()} cores, {platform.machine()}, {versions}, PyAV {av.__version__}\n")
    with TemporaryDirectory(prefix="emopipe-") as folder:
        if arguments.latency:
            latency(arguments.clip, times, folder)
        else:
            throughput(arguments.clip, times, arguments.pairs, folder)


if __name__ == "__main__":
    main()
