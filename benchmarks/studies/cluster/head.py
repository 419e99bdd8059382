"""A Ray cluster of this host alone, of one's own: what its own processes use, and its end.

with Head() as head:
    ... emopipe run … --on ray, with head.environment ...
"""

import os
import re
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType

from benchmarks.procfs import PROC
from benchmarks.studies.cluster.nodes import ClusterProcesses, until
from emopipe.arguments.cluster import need_ray
from emopipe.pipeline.graph.process_layout import cores

WORKER = "ray::"  # how the command line of a process begins that runs actors, or waits for one


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
            self._processes = stack.enter_context(ClusterProcesses(Path(name)))
            common = self._processes.environment | {"RAY_worker_niceness": "0"}  # that of whoever plays without it
            log = Path(name, "head.log")
            where = ["--head", "--port=0", "--node-ip-address=127.0.0.1", "--include-dashboard=false"]
            self._processes.start([*where, f"--num-cpus={cores()}"], os.environ | common, log)
            said = re.compile(r"--address='([^']+)'")
            until(lambda: said.search(log.read_text()) is not None, "address of the head")
            self.environment = common | {"RAY_ADDRESS": said.findall(log.read_text())[0]}
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def cpu(self) -> float:
        """Seconds of the processor that Ray's own processes have used: all of the cluster's that can run no actor."""
        ticks = 0
        for pid, command in self._processes:
            if not command.startswith(WORKER):
                with suppress(OSError):  # it has ended meanwhile
                    fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
                    ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")
