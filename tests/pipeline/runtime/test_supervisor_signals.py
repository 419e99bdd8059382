"""A run that is stopped from outside, at any moment: nothing of it is left."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.processes import popen, wait_for, wait_until_gone, workers_of

pytestmark = pytest.mark.slow("starts whole runs in processes of their own")

SCRIPT = """
import asyncio, sys
from pathlib import Path
from tests.support.toy_stages import toy_graph
from emopipe.pipeline.runtime.supervisor import Supervisor
hang = {"at": int(sys.argv[2]), "how": "hang", "hangs": sys.argv[1] + ".hangs"}
endless = toy_graph(Path(sys.argv[1]), count={"count": 0, "pause": 0.001}, double=hang)
seen = []
def updated(result):
    if not seen:
        seen.append(print("playing", flush=True))
print("starting", flush=True)
try:
    asyncio.run(Supervisor(endless, updated=updated).run())
except KeyboardInterrupt:
    sys.exit(130)
"""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.txt"


def start(out: Path, hang_at: int = -1) -> "subprocess.Popen[str]":
    """An endless run in a process of its own, about to start its workers."""
    command = [sys.executable, "-c", SCRIPT, str(out), str(hang_at)]
    process = popen(command)
    assert process.stdout is not None
    assert process.stdout.readline() == "starting\n"
    return process


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.3, 0.6, 1.5])
def test_ctrl_c_at_any_moment_leaves_nothing(out: Path, delay: float) -> None:
    with start(out) as process:
        time.sleep(delay)
        workers = workers_of(process.pid)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
        assert wait_until_gone(workers, 0.5) == []
        assert process.returncode == 130, errors


def test_ctrl_c_closes_the_stages(out: Path) -> None:
    with start(out) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "playing\n"
        workers = workers_of(process.pid)
        assert len(workers) == 3
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        assert wait_until_gone(workers, 0.5) == []
    assert out.read_text().splitlines()[-1] == "closed"


def test_ctrl_c_does_not_wait_for_a_stage_that_hangs(out: Path) -> None:
    with start(out, hang_at=20) as process:
        assert process.stdout is not None
        process.stdout.readline()
        wait_for(Path(f"{out}.hangs").exists, process, "nothing hangs")
        workers = workers_of(process.pid)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=10)
        assert wait_until_gone(workers, 0.5) == []


def test_the_workers_go_with_a_supervisor_that_is_killed(out: Path) -> None:
    with start(out) as process:
        assert process.stdout is not None
        process.stdout.readline()
        workers = workers_of(process.pid)
        assert workers
        process.kill()
        process.communicate(timeout=10)
    assert wait_until_gone(workers, 2.0) == []
