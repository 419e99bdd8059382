"""Ray nodes of one's own, each on a host of its own, with a token that only we know.

with Host() as far, Nodes(folder, far) as nodes:
    nodes.start_second()
    ... emopipe run … --on ray, with nodes.environment ...

in a process that runs `benchmarks.hosts.isolated`.
"""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Self

from benchmarks.commands import environment
from benchmarks.hosts import Host
from benchmarks.procfs import PROC
from emopipe.pipeline.errors import EmopipeError

HEAD_PORT = 6379
CLOCK_AHEAD_S = 5000  # of the second node's monotonic clock
WAIT_TIMEOUT_S = 200.0
END_TIMEOUT_S = 20.0
LOOK_S = 0.01
STARTS = 4  # Ray gives up after 30 s, which a busy machine can take
OBJECT_STORE_BYTES = 80_000_000  # the least that Ray allows
TRY_VARIABLE = "BENCHMARK_TRY"  # of the environment: the number of the try that a process of a cluster comes from
OUTCOMES = ("Ray runtime started", "timed out during startup")


class ClusterProcesses:
    """The processes of a cluster whose files are in a folder, and of what is played there; a context manager.

    Iterating gives those that live, with their command lines.

    Args:
        folder: with a short name: Ray's Unix sockets lie in it.

    Attributes:
        environment: that sets the cluster apart from others on this machine, and from whoever has not its token.
    """

    def __init__(self, folder: Path) -> None:
        self.environment = {
            "RAY_TMPDIR": f"{folder}/ray",
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
        }
        self._mark = f"RAY_TMPDIR={folder}/ray"
        self._started: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _kill(self._mark)
        for process in self._started:
            process.kill()
            process.wait()

    def __iter__(self) -> Iterator[tuple[int, str]]:
        return _marked(self._mark)

    def start(
        self, options: Sequence[str], environment: Mapping[str, str], log: Path, *, enter: Sequence[str] = ()
    ) -> None:
        """Let a node come up; where a try fails, nothing of it is left to be in the way of the next.

        Args:
            options: of `ray start`.
            log: for what it says.
            enter: how the command line begins, for another host.

        Raises:
            EmopipeError: it does not.
        """
        ray = str(Path(sys.executable).with_name("ray"))
        command = [*enter, ray, "start", *options, f"--object-store-memory={OBJECT_STORE_BYTES}", "--block"]
        for _ in range(STARTS):
            number = str(len(self._started))
            with log.open("w") as file:
                process = subprocess.Popen(command, env={**environment, TRY_VARIABLE: number}, stdout=file, stderr=file)
            self._started.append(process)

            def decided(process: "subprocess.Popen[bytes]" = process) -> bool:
                return process.poll() is not None or any(outcome in log.read_text() for outcome in OUTCOMES)

            with ExitStack() as failed:
                failed.callback(_kill, self._mark, f"{TRY_VARIABLE}={number}")
                until(decided, f"{log.stem} node")
                if OUTCOMES[0] in log.read_text():
                    failed.pop_all()
                    return
        last = log.read_text().strip().rpartition("\n")[2]
        raise EmopipeError(f"ray start: no {log.stem} node came of it in {STARTS} tries: {last}")


class Nodes:
    """A cluster of the head, which is here, with the label zone=a, and one node more, zone=b; a context manager.

    Args:
        folder: of all their files, with a short name.
        far: the other node's host.
        more: of the environment.

    Attributes:
        processes: of the cluster.
        environment: of a command that is played there.
        shift: how a command line begins whose monotonic clock is to be another; empty where the system cannot do that.

    Raises:
        EmopipeError: a node does not come up.
    """

    def __init__(self, folder: Path, far: Host, more: Mapping[str, str] = MappingProxyType({})) -> None:
        self._folder = folder
        self._far = far
        shift = ["unshare", "--time", "--monotonic", str(CLOCK_AHEAD_S), "--fork", "--kill-child"]
        shifts = subprocess.run([*shift, "true"], capture_output=True, check=False).returncode == 0
        self.shift = shift if shifts else []
        self.processes = ClusterProcesses(folder)
        where = {"RAY_ADDRESS": f"{far.own_address}:{HEAD_PORT}", "TMPDIR": str(folder)}
        self.environment = environment() | self.processes.environment | where | dict(more)

    def __enter__(self) -> Self:
        where = ["--head", f"--port={HEAD_PORT}", f"--node-ip-address={self._far.own_address}", "--labels=zone=a"]
        with ExitStack() as stack:
            stack.enter_context(self.processes)
            self._start("head", [*where, "--include-dashboard=false"])
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def start_second(self) -> None:
        """Start the other node, again where it was lost; its clock is another's."""
        head = f"{self._far.own_address}:{HEAD_PORT}"
        where = [f"--address={head}", f"--node-ip-address={self._far.address}", "--labels=zone=b"]
        self._start("second", where, [*self._far.enter(), *self.shift])

    def kill_second(self) -> None:
        """Kill the other node, all of it at once, as a host that loses power."""
        for pid, command in self.processes:
            if "raylet/raylet" in command and f"--node_ip_address={self._far.address}" in command:
                os.kill(pid, signal.SIGKILL)

    def _start(self, name: str, options: Sequence[str], enter: Sequence[str] = ()) -> None:
        log = self._folder / f"{name}.log"
        self.processes.start([*options, "--num-cpus=1"], self.environment, log, enter=enter)


def until(condition: Callable[[], object], what: str) -> None:
    """Wait for something.

    Raises:
        EmopipeError: it does not come.
    """
    deadline = time.monotonic() + WAIT_TIMEOUT_S
    while not condition():
        if time.monotonic() > deadline:
            raise EmopipeError(f"{what}: still none after {WAIT_TIMEOUT_S:g} s")
        time.sleep(LOOK_S)


def _marked(*marks: str) -> Iterator[tuple[int, str]]:
    """The processes with such variables in their environment, and their command lines."""
    for entry in PROC.glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or is somebody else's
            variables = (entry / "environ").read_bytes().split(b"\0")
            if all(mark.encode() in variables for mark in marks):
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                yield int(entry.name), command


def _kill(*marks: str) -> None:
    """Kill the processes with such variables in their environment, and those they start meanwhile."""
    deadline = time.monotonic() + END_TIMEOUT_S
    while (left := list(_marked(*marks))) and time.monotonic() < deadline:
        for pid, _ in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(LOOK_S)
