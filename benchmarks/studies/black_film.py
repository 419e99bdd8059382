"""Memory over an hour of black frames and silence through a process a stage.

    python -m benchmarks.studies.black_film [--minutes 60] [--fps 5]

Prints the resident memory of each process from a tenth of the run to its end.
"""

import argparse
import asyncio
import os
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np

from emopipe.graphs.ready import default_graph
from emopipe.graphs.replay import replay_table
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.graph.load import graph_from_table, read_table
from emopipe.pipeline.runtime.result import RunResult
from emopipe.pipeline.runtime.supervisor import Supervisor


def write_black_film(path: Path, minutes: float, fps: int) -> None:
    """Write a film of nothing, with a silent sound track."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 640, 360, "yuv420p"
        audio = container.add_stream("aac", rate=16_000, layout="mono")
        picture = av.VideoFrame.from_ndarray(np.full((540, 640), 16, np.uint8), format="yuv420p")
        picture.planes[1].update(bytes([128]) * picture.planes[1].buffer_size)
        picture.planes[2].update(bytes([128]) * picture.planes[2].buffer_size)
        second = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.float32), format="fltp", layout="mono")
        second.sample_rate = 16_000
        for number in range(int(minutes * 60)):
            for frame in range(fps):
                picture.pts = number * fps + frame
                container.mux(video.encode(picture))
            second.pts = number * 16_000
            container.mux(audio.encode(second))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))


def resident() -> dict[str, float]:
    """MB of each worker process of ours, by its name."""
    command = ["ps", "-ww", "-o", "rss=,args=", "--ppid", str(os.getpid())]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    rows = [line.split() for line in lines if "emopipe.pipeline.runtime.worker" in line]
    return {row[-1]: int(row[0]) / 1024 for row in rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--fps", type=int, default=5)
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="emopipe-") as folder:
        film = Path(folder) / "black.mp4"
        write_black_film(film, arguments.minutes, arguments.fps)
        table = replay_table(read_table(default_graph()), [str(film)], [Path(folder) / "results.jsonl"], realtime=False)
        samples: list[tuple[float, dict[str, float]]] = []
        looked = time.monotonic()

        def updated(result: RunResult) -> None:
            nonlocal looked
            capture = result.reports.get("capture")
            if capture is not None and capture.total and time.monotonic() - looked > 1:
                looked = time.monotonic()
                samples.append((capture.done / SECOND / 60, resident()))

        result = asyncio.run(Supervisor(graph_from_table(table, default_graph()), updated=updated).run())
    counters = result.reports["capture"].counters
    print(f"{counters['frames']} frames, {counters['samples'] / 16_000 / 60:.1f} minutes of sound")
    whole = [sample for sample in samples if sample[1].keys() == samples[0][1].keys()]
    shown = [next(s for s in whole if s[0] >= share * whole[-1][0]) for share in (0.1, 0.25, 0.5, 0.75, 1.0)]
    print(f"{'MB resident':12}" + "".join(f"  minute {minute:5.1f}" for minute, _ in shown))
    for name in shown[0][1]:
        print(f"{name:12}" + "".join(f"  {memory[name]:12.1f}" for _, memory in shown))


if __name__ == "__main__":
    main()
