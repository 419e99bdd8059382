"""A replay that loses a process begins anew, and its results are those of an undisturbed one."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from emopipe.pipeline.errors import EmopipeError, StageFailed
from emopipe.pipeline.graph.load import Graph, graph_from_table
from emopipe.pipeline.runtime.result import RunResult
from emopipe.pipeline.runtime.supervisor import Supervisor
from tests.support.processes import nothing_left, popen, workers_of

pytestmark = pytest.mark.slow("starts whole runs in processes of their own")

STAGES = "tests.support.restart_stages:"
EXPECTED = "".join(f"s{stream} {n}\n" for stream in range(3) for n in range(100))


def graph(out: Path, *, whole: bool = False, supervision: dict[str, Any] | None = None, **fragile: Any) -> Graph:
    stages: dict[str, Any] = {
        "count": {"use": f"{STAGES}Recordings"},
        "pass": {"use": f"{STAGES}Fragile", "inputs": {"numbers": "count.numbers"}, **fragile},
        "lines": {"use": f"{STAGES}Lines", "inputs": {"numbers": "pass.numbers"}, "path": str(out)},
    }
    if whole:
        path = str(out.with_suffix(".whole"))
        stages["whole"] = {"use": f"{STAGES}Whole", "inputs": {"numbers": "pass.numbers"}, "path": path}
    quick = {"warn_after": 0.5, "kill_after": 1.5, "backoff": 0.0}
    return graph_from_table({"pipeline": {"supervision": quick | (supervision or {})}, "stages": stages}, "toy.toml")


def run(graph: Graph) -> RunResult:
    return asyncio.run(Supervisor(graph).run())


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    with nothing_left():
        yield


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "lines.txt"


@pytest.mark.parametrize("how", ["kill", "stop", "block", "stuck", "raise"])
def test_whatever_befalls_a_stage_no_line_is_lost_or_doubled(out: Path, how: str) -> None:
    result = run(graph(out, at=50, how=how))
    assert out.read_text() == "numbers\n" + EXPECTED
    assert result.restart_counts == {"pass": 1}
    assert result.reports["pass"].restarts == 1
    (restart,) = result.restarts
    assert restart.seconds is not None
    assert restart.seconds > 0
    assert {
        "kill": "the process was killed by SIGKILL",
        "stop": "stopped by a signal for 1.5 s; the process was killed",
        "block": "no sign of life for 1.5 s at _happen (restart_stages.py:",
        "stuck": "busy with one message for 1.5 s at _answer (resources.py:",
        "raise": "ZeroDivisionError: a number broke",
    }[how] in restart.reason


def test_streams_that_every_sink_has_done_are_not_played_again(out: Path) -> None:
    result = run(graph(out, at=50, stream="s2"))
    assert out.read_text() == "numbers\n" + EXPECTED
    assert set(result.reports["count"].streams) == {"s2"}


def test_a_sink_that_needs_everything_gets_everything(out: Path) -> None:
    result = run(graph(out, whole=True, at=50, stream="s2"))
    assert out.read_text() == "numbers\n" + EXPECTED
    assert out.with_suffix(".whole").read_text() == EXPECTED
    assert set(result.reports["count"].streams) == {"s0", "s1", "s2"}


@pytest.mark.parametrize("victim", ["count", "pass", "lines"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_any_stage_may_die_while_it_plays(out: Path, victim: str, number: signal.Signals) -> None:
    done: list[int] = []

    def updated(result: RunResult) -> None:
        if not done and len(result.reports) == 3:
            pids = workers_of(os.getpid())
            names = {Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[-2].decode(): pid for pid in pids}
            done.append(names[victim])
            os.kill(names[victim], number)

    slow = graph(out)
    slow.stages["count"].table["pause"] = 0.003
    result = asyncio.run(Supervisor(slow, updated=updated).run())
    assert out.read_text() == "numbers\n" + EXPECTED
    assert result.restart_counts == {victim: 1}


def test_a_stage_that_dies_again_and_again_ends_the_run(out: Path) -> None:
    again = r"stage pass: the process was killed by SIGKILL; it has been restarted 2 times in 60 s"
    with pytest.raises(StageFailed, match=again):
        run(graph(out, supervision={"max_restarts": 2}, at=50, times=9))
    assert ("numbers\n" + EXPECTED).startswith(out.read_text())


def test_an_error_that_comes_again_is_in_the_recording_or_the_code(out: Path) -> None:
    with pytest.raises(StageFailed, match="ZeroDivisionError: a number broke; the same came again after a restart"):
        run(graph(out, at=50, how="raise", times=9))


def test_what_a_stage_has_explained_is_not_tried_again(out: Path) -> None:
    with pytest.raises(EmopipeError, match=r"stages\.pass: this number is not yours$") as caught:
        run(graph(out, at=50, how="explain"))
    assert caught.value.exit_code == 2


def test_unless_the_graph_says_always(out: Path) -> None:
    result = run(graph(out, supervision={"restart": "always"}, at=50, how="explain"))
    assert out.read_text() == "numbers\n" + EXPECTED
    assert result.restarts[0].reason == "this number is not yours"


def test_never_means_never(out: Path) -> None:
    with pytest.raises(StageFailed, match=r"stage pass: the process was killed by SIGKILL$"):
        run(graph(out, supervision={"restart": "never"}, at=50))


def test_a_process_that_takes_too_much_memory_is_killed_before_it_takes_all(out: Path) -> None:
    result = run(graph(out, supervision={"max_memory": 150, "kill_after": 20}, at=50, how="memory"))
    assert out.read_text() == "numbers\n" + EXPECTED
    reason = result.restarts[0].reason
    assert reason.startswith("takes ")
    assert "MiB of memory, more than max_memory, 150 MiB" in reason


def test_a_file_that_somebody_else_has_written_to_is_told_and_left(out: Path) -> None:
    def meddle(result: RunResult) -> None:
        if out.exists() and (lines := out.read_bytes()).startswith(b"numbers\ns0 0\n"):
            out.write_bytes(lines.replace(b"s0 3\n", b"s0 4\n"))

    differs = r"lines\.txt: what this run has written before it was interrupted differs from byte 26 on"
    with pytest.raises(StageFailed, match=differs):
        asyncio.run(Supervisor(graph(out, stream="s0", at=50), warned=lambda warning: meddle(RunResult())).run())


SCRIPT = """
import asyncio, sys
from pathlib import Path
from tests.pipeline.runtime.test_restarts import graph
from emopipe.pipeline.runtime.supervisor import Supervisor
slow = graph(Path(sys.argv[1]))
slow.stages["count"].table["pause"] = 0.005
def updated(result):
    print("playing", flush=True)
result = asyncio.run(Supervisor(slow, updated=updated).run())
print("restarts", sum(result.restart_counts.values()), len(result.warnings))
"""


def test_a_machine_that_sleeps_is_nobodys_fault(out: Path) -> None:
    """All processes are stopped for longer than `kill_after`, and go on."""
    with popen([sys.executable, "-c", SCRIPT, str(out)]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "playing\n"
        everybody = [process.pid, *workers_of(process.pid)]
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(3.0)  # it is real time that must pass
        for pid in everybody:
            os.kill(pid, signal.SIGCONT)
        said, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert said.splitlines()[-1] == "restarts 0 0"
    assert out.read_text() == "numbers\n" + EXPECTED
