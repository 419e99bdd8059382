"""Half an hour of WebRTC: one peer stays, others join and leave all the while, and one is killed each minute.

    python -m benchmarks.peers clip.mp4 [--minutes 30] [--peers 2] [--churn 20] [--kill-every 60] [--json FILE]

Runs configs/webrtc.toml with its processes. Each peer is a process of its own (`benchmarks.peers.peer`) that sends a
recording encoded once before: VP8 and Opus, 640 pixels wide, 30 frames/s, with a mark that flashes and sounds every two
seconds. Says, with the figures' errors:

memory      MB a worker process, sampled every 10 s, and its slope by least squares after the first third
marks       how much later the steady peer's sound is than its pictures, by the stage's own pts, and how that drifts
gaps        the longest that each input in the process that serves WebRTC received nothing, and its event loop's lag
peers       joined, left, killed; how soon a killed one's stream ended; whose stream never did

Exit code 1 if a peer was lost, refused or left behind. Linux only: it reads /proc.
"""

import argparse
import asyncio
import itertools
import json
import socket
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.figures import machine, table, write_json
from benchmarks.peers.crowd import STEADY_PEER, Crowd
from benchmarks.peers.figures import SERVER, Measured, came_and_went, drops, gaps, latency, processes, sync, wrong
from benchmarks.peers.marks import mark, whole_rounds
from benchmarks.procfs import Sample, sample, workers
from benchmarks.subscriber import Arrivals, Subscriber
from emopipe.graphs.ready import default_graph
from emopipe.pipeline.errors import StageFailed
from emopipe.pipeline.graph.load import graph_from_table, read_table
from emopipe.pipeline.graph.spec import Graph
from emopipe.pipeline.runtime.result import RunResult
from emopipe.pipeline.runtime.supervisor import Supervisor

GRAPH = default_graph().parent / "configs" / "webrtc.toml"
SAMPLE_INTERVAL_S = 10.0  # s
ROUND_S = 10.0  # s of recording in a round, about
END_TIMEOUT_S = 30.0  # s the streams have to end once all peers have gone


def make_graph(endpoint: str, results: str, marks: Path, peers: int) -> Graph:
    """The WebRTC graph at `endpoint`, its results at `results`, with a stage that writes what marks tell."""
    table = read_table(GRAPH)
    stages = table["stages"]
    (webrtc,) = (name for name, stage in stages.items() if stage["use"] == "webrtc")
    for stage in stages.values():
        if stage["use"] in ("webrtc", "page"):
            stage["endpoint"] = endpoint
        if stage["use"] == "publish":
            stage["endpoint"] = results
    stages[webrtc]["max_peers"] = 2 * peers + 2  # who was killed keeps its place until it is missed
    stages["marks"] = {
        "use": "benchmarks.peers.marks:Marks",
        "process": SERVER,
        "inputs": {"video": f"{webrtc}.video", "audio": f"{webrtc}.audio"},
        "stream": STEADY_PEER,
        "path": str(marks),
    }
    return graph_from_table(table, GRAPH)


async def run(file: Path, length: float, given: argparse.Namespace, folder: Path) -> Measured:
    """Play the graph with its peers for the time that is asked for."""
    results, marks = f"ipc://{folder}/results", folder / "marks.jsonl"
    endpoint = f"http://127.0.0.1:{free_port()}"
    seconds = 60 * given.minutes
    playing = asyncio.Event()
    so_far = RunResult({}, [])

    def updated(result: RunResult) -> None:
        nonlocal so_far
        so_far = result
        playing.set()

    supervisor = Supervisor(make_graph(endpoint, results, marks, given.peers), updated=updated)
    with Subscriber(results) as subscriber:
        running = asyncio.create_task(supervisor.run())
        await asyncio.wait({running, waiting := asyncio.create_task(playing.wait())}, return_when="FIRST_COMPLETED")
        waiting.cancel()
        if running.done():
            running.result()
        crowd = Crowd(file, length, endpoint)
        samples: dict[str, list[tuple[float, Sample]]] = {name: [] for name in workers()}
        watching = asyncio.create_task(_sample(samples))
        everybody = asyncio.create_task(crowd.gather(seconds, given.peers - 1, given.churn, given.kill_every))
        ends: set[asyncio.Future[Any]] = {running, everybody}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if running.done():
                running.result()
                raise StageFailed("the graph ended while peers were there")
            await everybody
            unended = await _unended(subscriber.streams)
            watching.cancel()
            supervisor.drain()
            result = await running
        finally:
            for task in (watching, everybody, running):
                task.cancel()
            await asyncio.gather(watching, everybody, running, return_exceptions=True)
    told = [json.loads(line) for line in marks.read_text(encoding="utf-8").splitlines()]
    return Measured(crowd.peers, result, dict(subscriber.streams), samples, told, unended)


async def _sample(samples: dict[str, list[tuple[float, Sample]]]) -> None:
    processes = workers()
    began = time.monotonic()
    for number in itertools.count():
        await asyncio.sleep(max(0.0, began + number * SAMPLE_INTERVAL_S - time.monotonic()))
        for name, process in processes.items():
            if (taken := sample(process)) is not None:
                samples[name].append((time.monotonic() - began, taken))


async def _unended(streams: Mapping[str, Arrivals]) -> list[str]:
    """The streams that do not end although all peers have gone."""
    until = time.monotonic() + END_TIMEOUT_S
    while (left := [name for name, heard in list(streams.items()) if not heard.ended]) and time.monotonic() < until:
        await asyncio.sleep(0.2)
    return left


def free_port() -> int:
    """A port of this machine that nobody has."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--minutes", type=float, default=30.0, help="(default: %(default)s)")
    parser.add_argument(
        "--peers", type=int, default=2, help="at a time, the steady one among them (default: %(default)s)"
    )
    parser.add_argument(
        "--churn", type=float, default=20.0, help="s that the others stay, on average (default: %(default)s)"
    )
    parser.add_argument("--kill-every", type=float, default=60.0, metavar="S", help="(default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures and samples there")
    given = parser.parse_args()
    from benchmarks.peers.whip_client import encode

    print(
        f"{given.minutes:g} minutes, {given.peers} peers at a time, guests stay for about {given.churn:g} s, "
        f"one is killed every {given.kill_every:g} s\n{machine()}",
        flush=True,
    )
    with TemporaryDirectory(prefix="emopipe-") as folder:
        length = whole_rounds(ROUND_S)
        marked = mark(given.clip, Path(folder) / "marked.mkv", length)
        file = encode(marked, Path(folder) / "sent.mkv", codec="libvpx")
        measured = asyncio.run(run(file, length, given, Path(folder)))
        graph = make_graph(
            "http://127.0.0.1:8080", f"ipc://{folder}/results", Path(folder) / "marks.jsonl", given.peers
        )
    tables = {
        "peers": [came_and_went(measured)],
        "memory": processes(measured.samples),
        "marks": sync(measured.marks),
        "latency": latency(measured.streams),
        "gaps": gaps(measured.result, graph, measured.marks),
        "drops": drops(measured.result),
    }
    for title, rows in tables.items():
        print(f"\n{title}\n\n{table(rows) or 'none'}")
    failed = wrong(measured)
    samples = {
        name: [{"s": at, "MB": each.memory, "threads": each.threads, "files": each.files} for at, each in taken]
        for name, taken in measured.samples.items()
    }
    write_json(given.json, {**tables, "wrong": failed, "samples": samples, "marks_found": measured.marks})
    if failed:
        print("\nwrong:", *failed, sep="\n  ", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
