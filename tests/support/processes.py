"""Processes that a test starts: the command in one of its own, its workers, and waiting for their end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from tests.support.paths import ROOT

PATIENCE = 90.0  # s, for a machine that is busy


@contextmanager
def running(graph: Path, *arguments: object) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-m", "emopipe", "run", str(graph), *map(str, arguments)]
    with popen(command, cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(condition: Callable[[], Any], process: "subprocess.Popen[str]", what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def workers_of(pid: int) -> list[int]:
    """The worker processes that `pid` has started and that still live."""
    listing = subprocess.run(
        ["ps", "-ww", "-eo", "pid,ppid,stat,args"], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 3) for line in listing.splitlines()[1:]]
    return [
        int(r[0])
        for r in rows
        if int(r[1]) == pid and "emopipe.pipeline.runtime.worker" in r[3] and not r[2].startswith("Z")
    ]


def popen(command: list[str], **more: Any) -> "subprocess.Popen[str]":
    """A process that Ctrl-C reaches, even where the tests run in the background of a shell, which ignores it."""
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        **more,
    )


def wait_until_gone(pids: list[int], seconds: float) -> list[int]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(map(_alive, pids)):
        time.sleep(0.02)
    return [pid for pid in pids if _alive(pid)]


@contextmanager
def nothing_left() -> Iterator[None]:
    """Whoever uses this leaves no worker behind, no open file, and nothing in the temporary folder that it has here."""
    before = _open_files()
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory(dir="/tmp") as temporary:  # short enough for sockets
        patch.setenv("TMPDIR", temporary)
        yield
        assert list(Path(temporary).iterdir()) == []
    assert workers_of(os.getpid()) == []
    assert _open_files() == before


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
