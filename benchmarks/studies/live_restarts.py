"""Each stage of a live graph stopped in turn: how soon it is back, whether the gap is stated, and what others notice.

    python -m benchmarks.studies.live_restarts [--signal STOP] [--json FILE] [--set KEY=VALUE]

Two cameras (test patterns, at the speed of a camera) have a chain of stages each, with all models. One stage after the
other of the first chain is stopped (SIGSTOP) or killed (SIGKILL). Told are, for each: the seconds from the signal until
it is back, `kill_after` included; the gap that the first chain's results state; and the 99th percentile of the
age of the second chain's results meanwhile, and of those in quiet times.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.figures import percentiles, table, write_json
from benchmarks.procfs import workers
from emopipe.pipeline.graph.load import Graph, graph_from_table
from emopipe.pipeline.runtime.result import RunResult, RunWarning
from emopipe.pipeline.runtime.supervisor import Supervisor

STAGES = ("capture", "faces", "facial", "windows", "speech", "fusion", "results")
QUIET_S = 6.0  # between two strikes
LIMIT_S = 120.0
CHAIN: dict[str, dict[str, Any]] = {
    "capture": {"use": "test-pattern", "duration": 36_000.0, "fps": 10.0},
    "faces": {"use": "face-detection", "inputs": {"video": "capture.video"}},
    "facial": {"use": "facial-inference", "inputs": {"faces": "faces.faces"}},
    "windows": {"use": "speech-windows", "inputs": {"audio": "capture.audio"}},
    "speech": {"use": "speech-inference", "inputs": {"windows": "windows.windows"}},
    "fusion": {"use": "fusion", "inputs": {"faces": "facial.emotions", "speech": "speech.emotions"}},
    "results": {"use": "jsonl", "inputs": {"emotions": "fusion.emotions"}},
}


def two_chains(folder: Path, overrides: list[str]) -> Graph:
    """The graph, whose results go to `a.jsonl` and `b.jsonl`, those of the second with their timing."""
    stages: dict[str, Any] = {}
    for chain in "ab":
        for name, given in CHAIN.items():
            inputs = {port: f"{chain}-{feed}" for port, feed in given.get("inputs", {}).items()}
            stages[f"{chain}-{name}"] = {**given, **({"inputs": inputs} if inputs else {})}
        stages[f"{chain}-capture"]["stream"] = f"camera {chain}"
        stages[f"{chain}-results"] |= {
            "path": str(folder / f"{chain}.jsonl"),
            "timing": str(folder / f"{chain}.timing"),
        }
    supervision = {"warn_after": 1.0, "kill_after": 3.0, "max_restarts": 100}
    return graph_from_table(
        {"pipeline": {"name": "restarts", "mode": "live", "supervision": supervision}, "stages": stages},
        "restarts.toml",
        overrides,
    )


class Study:
    """One run, and what is measured in it."""

    def __init__(self, folder: Path, overrides: list[str], number: signal.Signals) -> None:
        self._folder = folder
        self._number = number
        self._told: list[RunWarning] = []
        self._supervisor = Supervisor(two_chains(folder, overrides), warned=self._told.append)
        self.rows: list[dict[str, Any]] = []

    async def run(self) -> RunResult:
        running = asyncio.create_task(self._supervisor.run())
        async with asyncio.timeout(LIMIT_S):
            while self._lines("b.timing") == 0:
                await asyncio.sleep(0.1)
        quiet = await self._ages(QUIET_S)
        self.rows.append({"stage": "(none)", "back after s": None, "gap stated s": None, **_figures(quiet)})
        for stage in STAGES:
            self.rows.append({"stage": stage, **await self._strike(f"a-{stage}")})
            await asyncio.sleep(QUIET_S)
        self._supervisor.drain()
        return await running

    async def _strike(self, stage: str) -> dict[str, Any]:
        back, gaps, seen = len(self._back()), len(self._gaps()), self._lines("b.timing")
        began = time.monotonic()
        os.kill(workers()[stage], self._number)
        async with asyncio.timeout(LIMIT_S):
            while len(self._back()) == back:
                await asyncio.sleep(0.05)
        seconds = time.monotonic() - began
        ages = await self._ages(2.0, seen)
        stated = [gap["duration"] / 1e9 for gap in self._gaps()[gaps:]]
        return {"back after s": seconds, "gap stated s": stated[0] if stated else None, **_figures(ages)}

    def _back(self) -> list[RunWarning]:
        return [warning for warning in self._told if "is back" in warning.text]

    def _gaps(self) -> list[dict[str, Any]]:
        lines = (self._folder / "a.jsonl").read_bytes().splitlines()
        return [json.loads(line) for line in lines if b'"gap":' in line]

    def _lines(self, name: str) -> int:
        path = self._folder / name
        return path.read_bytes().count(b"\n") if path.exists() else 0

    async def _ages(self, seconds: float, since: int | None = None) -> list[float]:
        """The ages (ms) of the second chain's results in the next seconds, and of those since line `since`."""
        since = self._lines("b.timing") if since is None else since
        await asyncio.sleep(seconds)
        lines = (self._folder / "b.timing").read_bytes().splitlines()[since:]
        return [json.loads(line)["total_ms"] for line in lines if line.endswith(b"}")]


def _figures(ages: list[float]) -> dict[str, Any]:
    p50, p99 = percentiles(ages, (50, 99))
    return {"others' results": len(ages), "their p50 ms": p50, "p99 ms": p99}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--signal", choices=["STOP", "KILL"], default="STOP")
    parser.add_argument("--set", action="append", default=[], dest="overrides", metavar="KEY=VALUE")
    parser.add_argument("--json", type=Path, metavar="FILE")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = Study(Path(folder), arguments.overrides, signal.Signals[f"SIG{arguments.signal}"])
        result = asyncio.run(study.run())
    print(table(study.rows))
    write_json(arguments.json, {"rows": study.rows, "restarts": result.restart_counts})
    return 0 if all(row["gap stated s"] is not None for row in study.rows[1:]) else 1


if __name__ == "__main__":
    sys.exit(main())
