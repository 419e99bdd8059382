"""Hours without a leak: memory, open files and the age of results by minute, and every message accounted for.

    python -m benchmarks.studies.soak clip.mp4 [--replay 60] [--live 30] [--kill-every 60] [--minute 60] [--json FILE]

replay   the recording over and over, as fast as it goes, until so many minutes of it have been played
live     WebRTC as in `benchmarks.peers`, for so many minutes: a peer that stays, and others that come and go. Each
         minute a random worker process is killed (SIGKILL), but not the one that serves the peers

0 minutes leave a part out; `--replay 2 --live 2 --minute 20` is a short form. Memory's slope by process is that of
least squares after the first third; a process that was started anew has none. Exit code 1 if a message is unaccounted
for, a peer was lost, or no result came for a minute. Linux only.
"""

import argparse
import asyncio
import math
import os
import random
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.figures import machine, slope, table, write_json
from benchmarks.peers.benchmark import ROUND_S, free_port, make_graph
from benchmarks.peers.crowd import Crowd
from benchmarks.peers.figures import SERVER, WARM_UP_SHARE
from benchmarks.peers.marks import mark, whole_rounds
from emopipe.graphs.ready import default_graph
from emopipe.graphs.replay import replay_table
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.errors import StageFailed
from emopipe.pipeline.graph.load import graph_from_table, read_table
from emopipe.pipeline.graph.spec import Graph
from emopipe.pipeline.report import Latency, ProcessReport, Report
from emopipe.pipeline.runtime.result import RunResult
from emopipe.pipeline.runtime.supervisor import Supervisor
from emopipe.pipeline.telemetry.audit import audit

PEERS, CHURN_S, PEER_KILL_S = 2, 20.0, 60.0
MB = 1_000_000


@dataclass(frozen=True)
class Sample:
    """A run at one moment: s since its first sample, and what its stages and processes say."""

    at: float
    reports: dict[str, Report]
    processes: dict[str, ProcessReport]


@dataclass
class Soak:
    """All that was seen of one run."""

    title: str
    minute: float  # s between two samples
    samples: list[Sample] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    _began: float = 0.0

    def take(self, result: RunResult) -> None:
        """Keep the result as it is, if a minute has passed; for the supervisor's `updated`."""
        now = time.monotonic()
        self._began = self._began or now
        if not self.samples or now - self._began >= len(self.samples) * self.minute:
            self.samples.append(Sample(now - self._began, dict(result.reports), dict(result.processes)))

    def by_minute(self) -> list[dict[str, object]]:
        """A line a minute: results at the slowest sink and their age, drops and restarts, memory and open files."""
        rows: list[dict[str, object]] = []
        for number, (before, now) in enumerate(zip(self.samples, self.samples[1:], strict=False), start=1):
            ages = [_age(now, before, name) for name in now.reports]
            age = max(ages, key=lambda each: (each.count > 0, each.percentile(50) if each.count else 0.0))
            p50, p95, p99 = (age.percentile(percent) / MS for percent in (50, 95, 99))
            rows.append(
                {
                    "minute": number,
                    "results": age.count,
                    "p50 ms": p50,
                    "p95 ms": p95,
                    "p99 ms": p99,
                    "dropped": _dropped(now, before),
                    "restarts": sum(r.restarts for r in now.reports.values()),
                    "MB": sum(each.memory for each in now.processes.values()) / MB,
                    "files": sum(each.descriptors for each in now.processes.values()),
                }
            )
        return rows

    def by_process(self) -> list[dict[str, object]]:
        """A line a process: memory and its slope, threads and open files, from the end of the warm-up on."""
        rows: list[dict[str, object]] = []
        kept = [each for each in self.samples if each.at >= WARM_UP_SHARE * self.samples[-1].at]
        for name in self.samples[-1].processes:
            seen = [(each.at, each.processes[name]) for each in kept if name in each.processes]
            first, last = seen[0][1], seen[-1][1]
            same = len({each.pid for _, each in seen}) == 1
            grows = slope([at / 3600 for at, _ in seen], [each.memory / MB for _, each in seen])
            rows.append(
                {
                    "process": name,
                    "MB begin": first.memory / MB,
                    "MB end": last.memory / MB,
                    "MB/h": grows.rise if same else math.nan,
                    "± s.e.": grows.error if same else math.nan,
                    "threads": f"{first.threads} → {last.threads}",
                    "files": f"{first.descriptors} → {last.descriptors}",
                }
            )
        return rows

    def conclude(self, result: RunResult) -> None:
        """Look for what must not be in a run that has come to its end."""
        self.wrong += audit(result.reports)
        for row in self.by_minute():
            if not row["results"]:
                self.wrong.append(f"no result in minute {row['minute']}")


def _age(now: Sample, before: Sample, stage: str) -> Latency:
    """The ages of a sink's results between two samples."""
    earlier = before.reports.get(stage)
    return now.reports[stage].age.since(earlier.age) if earlier is not None else now.reports[stage].age


def _dropped(now: Sample, before: Sample) -> int:
    """The messages dropped between two samples; of a sender that was started anew, since then."""
    earlier, later = (
        {
            link: sum(counts.dropped.values())
            for report in each.reports.values()
            for link, counts in report.links.items()
        }
        for each in (before, now)
    )
    return sum(
        count - earlier.get(link, 0) if count >= earlier.get(link, 0) else count for link, count in later.items()
    )


def replay(clip: Path, minutes: float, minute: float, folder: Path) -> Soak:
    """Play the recording over and over, until `minutes` of it have been played."""
    soak = Soak(f"replay of {minutes:g} minutes", minute)
    table_ = replay_table(read_table(default_graph()), [str(clip)], [folder / "results.jsonl"], realtime=False)
    table_["stages"]["capture"]["loop"] = math.ceil(60 * minutes / _length(clip))
    soak.conclude(asyncio.run(Supervisor(graph_from_table(table_, default_graph()), updated=soak.take).run()))
    return soak


async def live(file: Path, length: float, minutes: float, kill_every: float, minute: float, folder: Path) -> Soak:
    """Let peers come and go for so long, and kill a process now and then."""
    soak = Soak(f"live for {minutes:g} minutes, a process killed every {kill_every:g} s", minute)
    endpoint = f"http://127.0.0.1:{free_port()}"
    graph = make_graph(endpoint, f"ipc://{folder}/results", folder / "marks.jsonl", PEERS)
    latest = RunResult()
    playing = asyncio.Event()

    def updated(result: RunResult) -> None:
        nonlocal latest
        latest = result
        soak.take(result)
        playing.set()

    supervisor = Supervisor(graph, updated=updated)
    running = asyncio.create_task(supervisor.run())
    starting = asyncio.create_task(playing.wait())
    crowd = Crowd(file, length, endpoint)
    tasks = [running, starting]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        everybody = asyncio.create_task(crowd.gather(60 * minutes, PEERS - 1, CHURN_S, PEER_KILL_S))
        killing = asyncio.create_task(_kill(soak, graph, kill_every, lambda: latest))
        tasks += [everybody, killing]
        await asyncio.wait([running, everybody], return_when=asyncio.FIRST_COMPLETED)
        killing.cancel()
        if running.done():
            running.result()
            raise StageFailed("the graph ended while peers were there")
        everybody.result()
        supervisor.drain()
        soak.conclude(await running)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    soak.wrong += crowd.peers.lost
    return soak


async def _kill(soak: Soak, graph: Graph, every: float, latest: Callable[[], RunResult]) -> None:
    """Kill one of the processes that do not serve the peers, each `every` s."""
    victims = [name for name in graph.processes if name != SERVER]
    while every:
        await asyncio.sleep(every)
        name = random.choice(victims)
        with suppress(ProcessLookupError):  # it is being started anew
            os.kill(latest().processes[name].pid, signal.SIGKILL)
            soak.killed.append(name)


def _length(clip: Path) -> float:
    """Of a recording, in s."""
    import av

    with av.open(str(clip)) as container:
        return (container.duration or SECOND // 1000) / av.time_base


def tell(soak: Soak) -> dict[str, Any]:
    """Print what was seen; the same as plain data."""
    found: dict[str, Any] = {"minutes": soak.by_minute(), "processes": soak.by_process()}
    killed = f", {len(soak.killed)} processes killed: {', '.join(soak.killed)}" if soak.killed else ""
    print(f"\n{soak.title}{killed}\n\n{table(found['minutes'])}\n\n{table(found['processes'])}", flush=True)
    return found | {"killed": soak.killed, "wrong": soak.wrong}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--replay", type=float, default=60.0, metavar="MINUTES", help="(default: %(default)s)")
    parser.add_argument("--live", type=float, default=30.0, metavar="MINUTES", help="(default: %(default)s)")
    parser.add_argument(
        "--kill-every", type=float, default=60.0, metavar="S", help="0 kills nobody (default: %(default)s)"
    )
    parser.add_argument("--minute", type=float, default=60.0, metavar="S", help="of a line (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
    given = parser.parse_args()
    print(machine(), flush=True)
    soaks: list[Soak] = []
    told: dict[str, Any] = {}
    with TemporaryDirectory(prefix="emopipe-") as name:
        folder = Path(name)
        if given.replay:
            soaks.append(replay(given.clip, given.replay, given.minute, folder))
            told["replay"] = tell(soaks[-1])
        if given.live:
            from benchmarks.peers.whip_client import encode

            length = whole_rounds(ROUND_S)
            marked = mark(given.clip, folder / "marked.mkv", length)
            file = encode(marked, folder / "sent.mkv", codec="libvpx")
            soaks.append(asyncio.run(live(file, length, given.live, given.kill_every, given.minute, folder)))
            told["live"] = tell(soaks[-1])
    wrong = [f"{soak.title}: {each}" for soak in soaks for each in soak.wrong]
    write_json(given.json, told)
    if wrong:
        print("\nwrong:", *wrong, sep="\n  ", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
