"""In live mode a process that dies comes back while the others play on; streams begin a new epoch."""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from emopipe.pipeline.errors import StageFailed
from emopipe.pipeline.graph.load import Graph, graph_from_table
from emopipe.pipeline.runtime.result import RunResult, RunWarning
from emopipe.pipeline.runtime.supervisor import Supervisor
from emopipe.pipeline.telemetry.audit import audit
from tests.support.processes import nothing_left, workers_of

pytestmark = pytest.mark.slow("starts whole runs in processes of their own")

STAGES = "tests.support.live_stages:"


def graph(out: Path, **limits: Any) -> Graph:
    stages: dict[str, Any] = {
        "camera": {"use": f"{STAGES}Ticks"},
        "pass": {"use": f"{STAGES}Count", "inputs": {"ticks": "camera.ticks"}},
        "write": {"use": f"{STAGES}Note", "inputs": {"ticks": "pass.ticks"}, "path": str(out)},
        "direct": {
            "use": f"{STAGES}Note",
            "inputs": {"ticks": "camera.ticks"},
            "path": str(out.with_suffix(".direct")),
        },
    }
    supervision = {"warn_after": 0.5, "kill_after": 1.5, "backoff": 0.0} | limits
    pipeline = {"mode": "live", "supervision": supervision}
    return graph_from_table({"pipeline": pipeline, "stages": stages}, "toy.toml")


def play(
    graph: Graph, strike: Callable[[dict[str, int]], None], *, after: float = 1.0, more: float = 1.5
) -> tuple[RunResult, list[RunWarning]]:
    """Play, strike after some time, wait until the process is back, play on for a while, and drain."""
    told: list[RunWarning] = []

    async def drive() -> RunResult:
        supervisor = Supervisor(graph, warned=told.append)
        running = asyncio.create_task(supervisor.run())
        async with asyncio.timeout(60):
            while not running.done() and not supervisor.snapshot().reports:
                await asyncio.sleep(0.05)
            await asyncio.sleep(after)
            strike(pids())
            while not running.done() and not any("is back" in warning.text for warning in told):
                await asyncio.sleep(0.05)
            await asyncio.sleep(more)
            supervisor.drain()
            return await running

    return asyncio.run(drive()), told


def pids() -> dict[str, int]:
    found = {}
    for pid in workers_of(os.getpid()):
        found[Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[-2].decode()] = pid
    return found


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    with nothing_left():
        yield


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "notes.jsonl"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_stage_in_the_middle_comes_back_in_a_new_epoch_and_the_others_play_on(
    out: Path, number: signal.Signals
) -> None:
    result, told = play(graph(out), lambda pids: os.kill(pids["pass"], number))
    assert result.restart_counts == {"pass": 1}
    (restart,) = result.restarts
    assert restart.seconds is not None
    found = [line for line in lines(out) if "value" in line]
    direct = [line for line in lines(out.with_suffix(".direct")) if "value" in line]
    # The counter in the middle has forgotten everything, and downstream sees that as a new epoch.
    epochs = [line["epoch"] for line in found]
    assert sorted(set(epochs)) == [0, 1]
    assert epochs == sorted(epochs)
    first_of_new = found[epochs.index(1)]
    assert first_of_new["count"] == 1
    # Nobody else has missed anything: every tick has come directly, in order, and in time.
    values = [line["value"] for line in direct]
    assert values == list(range(len(values)))
    assert max(line["age"] for line in direct) < 0.5
    # The gap is stated, and what was lost is counted.
    (gap,) = [line for line in lines(out) if "gap" in line]
    assert gap["gap"] == ["pass"]
    assert gap["streams"] == {"camera": 1}
    dropped = sum(sum(link.dropped.values()) for link in result.reports["camera"].links.values())
    assert dropped > 0
    reasons = {reason for link in result.reports["camera"].links.values() for reason in link.dropped}
    assert {"restart"} <= reasons <= {"restart", "oldest"}
    assert audit(result.reports) == []
    assert [warning.text.split(";")[0] for warning in told if "is back" not in warning.text][-1].startswith(
        "the process was killed by SIGKILL" if number == signal.SIGKILL else "stopped by a signal for 1.5 s"
    )


def test_a_source_comes_back_and_its_stream_goes_on_in_a_new_epoch(out: Path) -> None:
    result, _ = play(graph(out), lambda pids: os.kill(pids["camera"], signal.SIGKILL))
    found = [line for line in lines(out) if "value" in line]
    epochs = [line["epoch"] for line in found]
    assert sorted(set(epochs)) == [0, 1]
    assert not [line for line in lines(out) if "ended" in line][:-1]  # the stream ends once, at the end
    assert audit(result.reports) == []


def test_a_sink_comes_back_and_goes_on_after_what_it_has_written(out: Path) -> None:
    result, _ = play(graph(out), lambda pids: os.kill(pids["write"], signal.SIGKILL))
    values = [line["value"] for line in lines(out) if "value" in line]
    assert values == sorted(set(values))
    assert values[0] == 0
    assert result.restart_counts == {"write": 1}
    assert audit(result.reports) == []


def test_a_stage_comes_back_unless_the_graph_says_never(out: Path) -> None:
    def strike(pids: dict[str, int]) -> None:
        os.kill(pids["pass"], signal.SIGKILL)

    result, _ = play(graph(out), strike)
    assert result.restart_counts == {"pass": 1}
    with pytest.raises(StageFailed, match="stage pass: the process was killed by SIGKILL"):
        play(graph(out, restart="never"), strike)


def test_two_that_die_at_once_let_everything_begin_anew(out: Path) -> None:
    def strike(pids: dict[str, int]) -> None:
        os.kill(pids["pass"], signal.SIGKILL)
        os.kill(pids["camera"], signal.SIGKILL)

    async def drive() -> RunResult:
        supervisor = Supervisor(graph(out))
        running = asyncio.create_task(supervisor.run())
        async with asyncio.timeout(60):
            while not supervisor.snapshot().reports:
                await asyncio.sleep(0.05)
            strike(pids())
            while not (any("gap" in line for line in lines(out)) and "value" in lines(out)[-1]):
                await asyncio.sleep(0.05)
            while not (supervisor.snapshot().state == "playing" and len(pids()) == 4 and supervisor.drain()):
                await asyncio.sleep(1.0)
            return await running

    result = asyncio.run(drive())
    assert sum(result.restart_counts.values()) >= 2
    for file in (out, out.with_suffix(".direct")):
        found = lines(file)
        (gap,) = [number for number, line in enumerate(found) if "gap" in line]
        assert found[gap]["streams"] == {"camera": 1}
        epochs = [line["epoch"] for line in found if "value" in line]
        assert epochs == [0] * gap + [1] * (len(epochs) - gap)
    assert result.restarts[-1].at > 0
