"""Runs in several shards: the bytes are those of one, nothing is lost or counted twice, and a crash is one shard's."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emopipe.pipeline.graph.load import Graph, graph_from_table
from emopipe.pipeline.runtime.result import RunResult, RunWarning
from emopipe.pipeline.runtime.supervisor import Supervisor
from emopipe.pipeline.telemetry.audit import audit
from tests.support.processes import nothing_left, workers_of

pytestmark = pytest.mark.slow("starts whole runs in processes of their own")

REPLAYED, LIVE = "tests.support.restart_stages:", "tests.support.live_stages:"
EXPECTED = "".join(f"s{stream} {n}\n" for stream in range(5) for n in range(200))


def replay(out: Path, shards: int, *, layout: str = "stages", **fragile: Any) -> Graph:
    stages: dict[str, Any] = {
        "count": {"use": f"{REPLAYED}Recordings", "streams": 5, "count": 200},
        "pass": {"use": f"{REPLAYED}Fragile", "inputs": {"numbers": "count.numbers"}, **fragile},
        "lines": {"use": f"{REPLAYED}Lines", "inputs": {"numbers": "pass.numbers"}, "path": str(out)},
    }
    pipeline = {"shards": shards, "layout": layout, "supervision": {"backoff": 0.0}}
    return graph_from_table({"pipeline": pipeline, "stages": stages}, "toy.toml")


def run(graph: Graph) -> RunResult:
    return asyncio.run(Supervisor(graph).run())


def pid_of(process: str) -> int:
    (pid,) = [
        pid for pid in workers_of(os.getpid()) if f"\0{process}\0".encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return pid


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    with nothing_left():
        yield


@pytest.mark.parametrize(("shards", "layout"), [(1, "stages"), (2, "stages"), (4, "stages"), (2, "auto")])
def test_the_bytes_are_the_same_and_the_counts_are_exact(tmp_path: Path, shards: int, layout: str) -> None:
    result = run(replay(tmp_path / "lines.txt", shards, layout=layout))
    assert (tmp_path / "lines.txt").read_text() == EXPECTED.join(["numbers\n", ""])
    assert audit(result.reports) == []
    sources = [report for name, report in result.reports.items() if name.startswith("count")]
    assert len(sources) == shards
    assert sum(report.counters["emitted"] for report in sources) == 1000
    brought = [counts for report in sources for link in report.links.values() for counts in link.streams.items()]
    assert sorted((stream, counts.received) for stream, counts in brought) == [(f"s{n}", 200) for n in range(5)]


def test_results_depend_on_no_timing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOPIPE_STALL_MS", "1")
    run(replay(tmp_path / "lines.txt", 4))
    assert (tmp_path / "lines.txt").read_text() == EXPECTED.join(["numbers\n", ""])


@pytest.mark.parametrize("stream", ["s0", "s3"])
def test_a_crash_in_one_shard_loses_and_doubles_nothing(tmp_path: Path, stream: str) -> None:
    result = run(replay(tmp_path / "lines.txt", 2, stream=stream, at=150))
    assert (tmp_path / "lines.txt").read_text() == EXPECTED.join(["numbers\n", ""])
    (restart,) = result.restarts
    assert restart.stages == [f"pass.{int(stream[1:]) % 2}"]


def test_a_live_crash_in_one_shard_leaves_the_others_alone(tmp_path: Path) -> None:
    out = tmp_path / "notes.jsonl"
    stages: dict[str, Any] = {name: {"use": f"{LIVE}Ticks", "stream": name} for name in ("gate", "hall")}
    stages["pass"] = {"use": f"{LIVE}Count", "inputs": {"ticks": ["gate.ticks", "hall.ticks"]}}
    stages["write"] = {"use": f"{LIVE}Note", "inputs": {"ticks": "pass.ticks"}, "path": str(out)}
    pipeline = {"mode": "live", "shards": 2, "supervision": {"backoff": 0.0}}
    told: list[RunWarning] = []

    async def drive() -> RunResult:
        supervisor = Supervisor(
            graph_from_table({"pipeline": pipeline, "stages": stages}, "toy.toml"), warned=told.append
        )
        running = asyncio.create_task(supervisor.run())

        async def until(text: str) -> None:
            while not running.done() and (not out.exists() or text not in out.read_text()):
                await asyncio.sleep(0.05)

        async with asyncio.timeout(60):
            await until('"gate"')
            await until('"hall"')
            os.kill(pid_of("pass.1"), signal.SIGKILL)
            while not running.done() and not any("is back" in warning.text for warning in told):
                await asyncio.sleep(0.05)
            marked = len(out.read_bytes())
            while not running.done() and b'"hall"' not in out.read_bytes()[marked:]:
                await asyncio.sleep(0.05)
            supervisor.drain()
            return await running

    result = asyncio.run(drive())
    assert result.restart_counts == {"pass.1": 1}
    assert audit({name: each for name, each in result.reports.items() if name.endswith(".0")} | _sink(result)) == []
    ticks = [each for each in map(json.loads, out.read_text().splitlines()) if "epoch" in each]
    assert {each["epoch"] for each in ticks if each["stream"] == "gate"} == {0}
    assert {each["epoch"] for each in ticks if each["stream"] == "hall"} == {0, 1}


def _sink(result: RunResult) -> dict[str, Any]:
    return {"write": result.reports["write"]}
