"""Half an hour of WebRTC: one peer stays, others join and leave all the while, and one is killed each minute.

    python -m benchmarks.peers clip.mp4 [--minutes 30] [--peers 2] [--churn 20] [--kill-every 60] [--json FILE]

Runs configs/webrtc.toml with its processes. Each peer is a process of its own (`benchmarks.peer`) that sends a
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
import math
import random
import signal
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.figures import machine, percentiles, slope, table, write_json
from benchmarks.listener import Heard, Listener
from benchmarks.marks import mark, rounds
from benchmarks.procfs import Sample, sample, workers
from emopipe.places import default_graph
from pipeline.clock import MS, SECOND
from pipeline.errors import StageFailed
from pipeline.graph import graph_from_table, read_table
from pipeline.outcome import Outcome
from pipeline.spec import Graph
from pipeline.supervisor import Supervisor

GRAPH = default_graph().parent / "configs" / "webrtc.toml"
SERVER = "web"  # the process that serves WebRTC
STEADY = "steady"
SAMPLE_EVERY = 10.0  # s
WARM_UP = 1 / 3  # of the time, left out of the slopes: PyTorch keeps kernels for each length of a window that it meets
LENGTH = 10.0  # s of recording in a round, about
JOINING = 30.0  # s a peer has to join
ENDING = 30.0  # s the streams have to end once all peers have gone
ALONE = 15.0  # s that the steady peer stays after the last guest: to miss one that was killed takes a while
SETTLED = 10.0  # s into a stream from which on its clocks are known by several sender reports
SILENCE = 5.0  # s without a result that the steady peer must not see


@dataclass
class Peers:
    """What became of the peers; times are monotonic s."""

    joined: int = 0
    left: int = 0
    killed: dict[str, float] = field(default_factory=dict)  # when, by name
    lost: list[str] = field(default_factory=list)  # what went wrong, in words
    running: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)


class Crowd:
    """Starts, counts and ends peers."""

    def __init__(self, file: Path, length: float, endpoint: str) -> None:
        self.peers = Peers()
        self._file, self._length, self._endpoint = file, length, endpoint
        self._numbers = itertools.count(1)

    async def gather(self, seconds: float, guests: int, churn: float, kill_every: float) -> None:
        """The steady peer for `seconds`, and `guests` at a time beside it: they come after it, and go before it."""
        staying = asyncio.create_task(self.stay(STEADY, seconds + ALONE))
        while STEADY not in self.peers.running and not staying.done():
            await asyncio.sleep(0.1)
        killing = asyncio.create_task(self.kill(kill_every))
        until = time.monotonic() + seconds
        try:
            await asyncio.gather(*(self.come_and_go(churn, until) for _ in range(guests)))
            killing.cancel()
            await staying
        finally:
            killing.cancel()
            staying.cancel()
            await asyncio.gather(killing, staying, return_exceptions=True)

    async def stay(self, name: str, seconds: float) -> None:
        """Let one peer join, stay for `seconds`, and leave; or be killed meanwhile."""
        peers = self.peers
        arguments = [str(self._file), "--endpoint", self._endpoint, "--name", name]
        arguments += ["--length", str(self._length), "--seconds", str(seconds)]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.peer", *arguments, stdout=asyncio.subprocess.PIPE
        )
        try:
            assert process.stdout is not None
            try:
                async with asyncio.timeout(JOINING):
                    told = await process.stdout.readline()
            except TimeoutError:
                told = b""
            if not told:
                peers.lost.append(f"{name} could not join within {JOINING:g} s")
                return
            peers.joined += 1
            peers.running[name] = process
            code = await process.wait()
            if name in peers.killed:
                return
            peers.left += 1
            if code != 0:
                peers.lost.append(f"{name} was lost before its time (exit code {code})")
        finally:
            peers.running.pop(name, None)
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def come_and_go(self, stay: float, until: float) -> None:
        """One after the other, each for about `stay` s, until the loop's time is `until`."""
        while (left := until - time.monotonic()) > 2:
            await self.stay(f"guest-{next(self._numbers)}", min(left, stay * random.uniform(0.5, 1.5)))

    async def kill(self, every: float) -> None:
        """Kill one of the guests each `every` s, without goodbye."""
        while True:
            await asyncio.sleep(every)
            while not (names := [name for name in self.peers.running if name != STEADY]):
                await asyncio.sleep(0.1)
            name = random.choice(names)
            self.peers.killed[name] = time.monotonic()
            self.peers.running[name].send_signal(signal.SIGKILL)


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
        "use": "benchmarks.marks:Marks",
        "process": SERVER,
        "inputs": {"video": f"{webrtc}.video", "audio": f"{webrtc}.audio"},
        "stream": STEADY,
        "path": str(marks),
    }
    return graph_from_table(table, GRAPH)


@dataclass
class Measured:
    """What a run has left behind: samples by process with their times (s from the first), and the rest."""

    peers: Peers
    outcome: Outcome
    streams: Mapping[str, Heard]
    samples: dict[str, list[tuple[float, Sample]]]
    marks: list[dict[str, float]]
    zombies: list[str]


async def run(file: Path, length: float, given: argparse.Namespace, folder: Path) -> Measured:
    """Play the graph with its peers for the time that is asked for."""
    results, marks = f"ipc://{folder}/results", folder / "marks.jsonl"
    endpoint = f"http://127.0.0.1:{_free_port()}"
    seconds = 60 * given.minutes
    playing = asyncio.Event()
    so_far = Outcome({}, [])

    def updated(outcome: Outcome) -> None:
        nonlocal so_far
        so_far = outcome
        playing.set()

    supervisor = Supervisor(make_graph(endpoint, results, marks, given.peers), updated=updated)
    with Listener(results) as listener:
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
            zombies = await _zombies(listener.streams)
            watching.cancel()
            supervisor.drain()
            outcome = await running
        finally:
            for task in (watching, everybody, running):
                task.cancel()
            await asyncio.gather(watching, everybody, running, return_exceptions=True)
    told = [json.loads(line) for line in marks.read_text(encoding="utf-8").splitlines()]
    return Measured(crowd.peers, outcome, dict(listener.streams), samples, told, zombies)


async def _sample(samples: dict[str, list[tuple[float, Sample]]]) -> None:
    processes = workers()
    began = time.monotonic()
    for number in itertools.count():
        await asyncio.sleep(max(0.0, began + number * SAMPLE_EVERY - time.monotonic()))
        for name, process in processes.items():
            if (taken := sample(process)) is not None:
                samples[name].append((time.monotonic() - began, taken))


async def _zombies(streams: Mapping[str, Heard]) -> list[str]:
    """The streams that do not end although all peers have gone."""
    until = time.monotonic() + ENDING
    while (left := [name for name, heard in list(streams.items()) if not heard.ended]) and time.monotonic() < until:
        await asyncio.sleep(0.2)
    return left


def processes(samples: Mapping[str, Sequence[tuple[float, Sample]]]) -> list[dict[str, object]]:
    """A line for each worker process; slopes leave the warm-up out, `begin` is its end."""
    rows: list[dict[str, object]] = []
    for name, taken in samples.items():
        if not taken:
            continue
        kept = [each for each in taken if each[0] >= WARM_UP * taken[-1][0]]
        (begin, first), (end, last) = kept[0], kept[-1]
        grows = slope([at / 3600 for at, _ in kept], [each.memory for _, each in kept])
        rows.append(
            {
                "process": name,
                "MB begin": first.memory,
                "MB end": last.memory,
                "MB/h": grows.rise,
                "± s.e.": grows.error,
                "spread MB": grows.spread,
                "threads": f"{first.threads} → {last.threads}",
                "files": f"{first.files} → {last.files}",
                "cores": (last.cpu - first.cpu) / (end - begin) if end > begin else math.nan,
            }
        )
    return rows


def sync(marks: Sequence[Mapping[str, float]]) -> list[dict[str, object]]:
    """How the steady peer's sound lies against its pictures: median, extremes and drift; at first, and once settled."""
    found = [(each["at"], each["offset_ms"]) for each in marks if "offset_ms" in each]
    parts = {
        f"first {SETTLED:g} s": [each for each in found if each[0] < SETTLED],
        "from then on": [each for each in found if each[0] >= SETTLED],
    }
    rows: list[dict[str, object]] = []
    for part, own in parts.items():
        offsets = [offset for _, offset in own]
        low, middle, high = percentiles(offsets, (0, 50, 100))
        drift = slope([at for at, _ in own], offsets)
        when = {"marks": part, "number": len(own), "median ms": middle, "least ms": low, "most ms": high}
        rows.append(when | {"drift ppm": 1000 * drift.rise, "± s.e.": 1000 * drift.error, "spread ms": drift.spread})
    return rows


def came_and_went(measured: Measured) -> dict[str, object]:
    """How many peers joined, left and were killed, and how soon the latter were missed."""
    peers = measured.peers
    missed = [
        heard.ended / SECOND - at
        for name, at in peers.killed.items()
        if (heard := measured.streams.get(name)) is not None and heard.ended
    ]
    p50, most = percentiles(missed, (50, 100))
    return {
        "joined": peers.joined,
        "left": peers.left,
        "killed": len(peers.killed),
        "missed after s, p50": p50,
        "at most": most,
        "streams ended": sum(bool(heard.ended) for heard in measured.streams.values()),
        "never ended": len(measured.zombies),
        "lost": len(peers.lost),
    }


def latency(streams: Mapping[str, Heard]) -> list[dict[str, object]]:
    """From capture (a picture converted) to subscriber, and the longest silence between two results."""
    groups = {STEADY: [STEADY], "others": [name for name in streams if name != STEADY]}
    rows: list[dict[str, object]] = []
    for group, names in groups.items():
        times = [streams[name].times for name in names if name in streams]
        p50, p95, p99, most = percentiles([(a - c) / MS for each in times for _, c, a in each], (50, 95, 99, 100))
        counts = {"results": sum(map(len, times)), "forced": sum(streams[n].forced for n in names if n in streams)}
        ages = {"p50 ms": p50, "p95 ms": p95, "p99 ms": p99, "oldest ms": most}
        longest = {"longest silence s": max(map(silence, times), default=math.nan)}
        rows.append({"peer": group, **counts, **ages, **longest})
    return rows


def silence(times: Sequence[tuple[int, int, int]]) -> float:
    """The longest time between two results of a frame, in s; nan where there are not two."""
    arrivals = [arrived for _, _, arrived in times]
    return max((b - a for a, b in itertools.pairwise(arrivals)), default=math.nan) / SECOND


def gaps(outcome: Outcome, graph: Graph, marks: Sequence[Mapping[str, float]]) -> list[dict[str, object]]:
    """The longest that each input in the server's process received nothing while a stream was open; the loop's lag."""
    rows: list[dict[str, object]] = [
        {"in the process that serves WebRTC": f"{name}.{port} received nothing for", "ms": gap / MS}
        for name in graph.processes[SERVER]
        for port, gap in outcome.reports[name].gaps.items()
    ]
    lags = [each["lag_ms"] for each in marks if "lag_ms" in each]
    for percent, what in ((50, "median of 10 s"), (100, "longest")):
        rows.append(
            {"in the process that serves WebRTC": f"event loop late, {what}", "ms": percentiles(lags, [percent])[0]}
        )
    return rows


def drops(outcome: Outcome) -> list[dict[str, object]]:
    """What was dropped, and where."""
    names = ("skipped", "dropped", "overflowed", "late_faces", "late_speech", "stale", "damaged", "failed", "refused")
    rows: list[dict[str, object]] = []
    for report in outcome.reports.values():
        own = [(report.stage, name, report.counters.get(name, 0)) for name in names]
        own += [
            (f"{report.stage}.{link}", why, n) for link, each in report.links.items() for why, n in each.dropped.items()
        ]
        rows += [{"dropped at": place, "why": why, "messages": n} for place, why, n in own if n]
    return rows


def wrong(measured: Measured) -> list[str]:
    """What must not happen, and did."""
    found = list(measured.peers.lost)
    found += [f"{name}: its stream never ended" for name in measured.zombies]
    steady = measured.streams.get(STEADY)
    if steady is None or len(steady.times) < 2:
        found.append(f"{STEADY}: no results came")
    elif silence(steady.times) > SILENCE:
        found.append(f"{STEADY}: no result for {silence(steady.times):.1f} s")
    return found


def _free_port() -> int:
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
    from tests.whip_client import encode

    print(
        f"{given.minutes:g} minutes, {given.peers} peers at a time, guests stay for about {given.churn:g} s, "
        f"one is killed every {given.kill_every:g} s\n{machine()}",
        flush=True,
    )
    with TemporaryDirectory(prefix="emopipe-") as folder:
        length = rounds(LENGTH)
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
        "gaps": gaps(measured.outcome, graph, measured.marks),
        "drops": drops(measured.outcome),
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
