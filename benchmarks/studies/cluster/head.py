"""A Ray cluster of this host alone, of one's own: what its own processes use, and its end.

with Head() as head:
    ... emopipe run … --on ray, with head.environment ...
"""

import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from benchmarks.procfs import PROC
from emopipe.arguments.cluster import need_ray
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.process_layout import cores

STARTS = 3  # Ray gives up after 30 s, which a busy machine can take
END_TIMEOUT_S = 20.0
LOOK_S = 0.05
OBJECT_STORE_BYTES = 80_000_000  # the least that Ray allows
WORKER = b"ray::"  # how the command line of a process begins that runs actors, or waits for one


class Head:
    """A head on the loopback interface, with a token that only we know; a context manager.

    Attributes:
        environment: what a command needs besides to be played there.

    Raises:
        EmopipeError: Ray is not installed, or the cluster does not start.
    """

    def __enter__(self) -> "Head":
        need_ray()
        with ExitStack() as stack:
            # Short: Ray's Unix sockets lie in it.
            name = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True))
            self._tmpdir = f"RAY_TMPDIR={name}/ray"
            common = {
                "RAY_TMPDIR": f"{name}/ray",
                "RAY_AUTH_MODE": "token",
                "RAY_AUTH_TOKEN": secrets.token_hex(32),
                "RAY_USAGE_STATS_ENABLED": "0",
                "RAY_worker_niceness": "0",  # that of whoever plays without it
            }
            self._log = Path(name, "head.log")
            stack.callback(self._end)
            self.environment = common | {"RAY_ADDRESS": self._start(os.environ | common)}
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def cpu(self) -> float:
        """Seconds of the processor that Ray's own processes have used: all of the cluster's that can run no actor."""
        ticks = 0
        for folder in self._processes():
            with suppress(OSError):  # it has ended meanwhile
                if not (folder / "cmdline").read_bytes().startswith(WORKER):
                    fields = (folder / "stat").read_text().rpartition(")")[2].split()
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def _start(self, environment: Mapping[str, str]) -> str:
        """Where the head is, once it is up.

        Raises:
            EmopipeError: it does not come.
        """
        for _ in range(STARTS):
            with self._log.open("w") as log:
                self._process = subprocess.Popen(_command(), env=environment, stdout=log, stderr=log)
            while self._process.poll() is None:
                said = self._log.read_text()
                if "Ray runtime started" in said and (found := re.search(r"--address='([^']+)'", said)):
                    return found[1]
                time.sleep(LOOK_S)
        last = self._log.read_text().strip().rpartition("\n")[2]
        raise EmopipeError(f"ray start: no cluster came of it in {STARTS} tries: {last}")

    def _end(self) -> None:
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_TIMEOUT_S)
        deadline = time.monotonic() + END_TIMEOUT_S
        while (left := list(self._processes())) and time.monotonic() < deadline:
            for folder in left:
                with suppress(ProcessLookupError):
                    os.kill(int(folder.name), signal.SIGKILL)
            time.sleep(LOOK_S)
        self._process.wait()

    def _processes(self) -> Iterator[Path]:
        """Those of the cluster; while no command uses it there are no others with its folder in their environment."""
        for folder in PROC.iterdir():
            with suppress(OSError):
                if folder.name.isdecimal() and self._tmpdir.encode() in (folder / "environ").read_bytes().split(b"\0"):
                    yield folder


def _command() -> list[str]:
    ray = Path(sys.executable).with_name("ray")
    where = ["--head", "--port=0", "--node-ip-address=127.0.0.1", "--include-dashboard=false"]
    return [
        str(ray),
        "start",
        *where,
        f"--num-cpus={cores()}",
        f"--object-store-memory={OBJECT_STORE_BYTES}",
        "--block",
    ]
