"""A worker process on a Ray cluster, there: an asynchronous actor that runs the `Worker` in itself.

Not in a process that it starts: Ray would leave that behind where the actor is killed.
"""

import contextlib
import importlib.metadata
import os
import tempfile
from pathlib import Path

import msgspec
import ray

from emopipe.pipeline.access.folder import run_folder, with_temporary_files
from emopipe.pipeline.access.keys import KeyPair
from emopipe.pipeline.cluster.handshakes import Handshakes
from emopipe.pipeline.runtime.channel import Endpoint
from emopipe.pipeline.runtime.remote_host import RemoteHost
from emopipe.pipeline.runtime.worker import Worker


class Arrival(msgspec.Struct, frozen=True):
    """Where an actor has come to.

    Attributes:
        node: Ray's id of it.
        address: of that node, as the others reach it.
        pid: of the actor's process.
        key: its public key, for where it is on another host than the supervisor.
        version: of emopipe there.
    """

    node: str
    address: str
    pid: int
    key: str
    version: str


class RayWorker:
    """The actor."""

    def __init__(self) -> None:
        # Ray's, for actors that ask for no CPU: NumPy would compute with one thread.
        os.environ.pop("OMP_NUM_THREADS", None)
        self._pair = KeyPair.new()
        self._address = ray.util.get_node_ip_address()

    async def arrive(self) -> Arrival:
        """Say where we are."""
        node = ray.get_runtime_context().get_node_id()
        return Arrival(node, self._address, os.getpid(), self._pair.public, importlib.metadata.version("emopipe"))

    async def work(self, endpoint: Endpoint, process: str, folder: str, current: str) -> None:
        """Take part in a run until it ends.

        Args:
            folder: the run's, where it is on this host; empty on any other.
            current: the run's current folder, likewise.
        """
        with contextlib.ExitStack() as stack:
            own = None
            if folder:
                os.chdir(current)
            else:
                folder = str(stack.enter_context(run_folder()))
                watch = Handshakes(endpoint.address).happened
                own = RemoteHost(self._pair, Path(folder), self._address, watch)
            os.environ |= with_temporary_files(Path(folder))
            tempfile.tempdir = None  # look for it again
            await Worker(endpoint, process, own).run()


def sweep() -> None:
    """Remove what actors that were killed have left on a node."""
    with run_folder():  # does it first
        pass
