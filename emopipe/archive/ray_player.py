"""A player on a Ray cluster, there: an actor with a process of its own that plays, and whose results it hands over."""

import asyncio
import importlib.metadata
import os
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

import msgspec
import ray

from emopipe.archive.ledger import Entry
from emopipe.archive.players import Loss, PlayerProcess
from emopipe.archive.replay import Order
from emopipe.pipeline.access.folder import run_folder


class Arrival(NamedTuple):
    """Where an actor has come to: the node's address, and the version of emopipe there."""

    address: str
    version: str


class Replayed(NamedTuple):
    """What became of a recording, and the content of its results; empty where there are none."""

    answer: Entry | Loss
    content: bytes


class RayPlayer:
    """The actor.

    The process plays and not the actor itself, so that it is the one of any archive: who dies or hangs in it is
    noticed and told alike. It ends when its standard input does, that is with the actor, however that ends.
    """

    def __init__(self) -> None:
        # Ray's, for actors with one CPU: NumPy would compute with as many threads.
        os.environ.pop("OMP_NUM_THREADS", None)
        self._process: PlayerProcess | None = None
        self._exit = ExitStack()

    async def arrive(self) -> Arrival:
        """Say where we are."""
        return Arrival(ray.util.get_node_ip_address(), importlib.metadata.version("emopipe"))

    async def prepare(self, order: Order, current: str, verbose: bool) -> None:
        """Take the order.

        Args:
            current: the folder in which the command was given, for the paths in the order.
        """
        with suppress(OSError):  # it is not there: what is named from there on fails, and says so
            os.chdir(current)
        self._folder = self._exit.enter_context(run_folder())
        self._order = msgspec.structs.replace(order, out=str(self._folder / "out"))
        self._verbose = verbose

    async def replay(self, recording: str) -> Replayed:
        """Replay a recording.

        Raises:
            Stopped: no other one can be played either.
        """
        if self._process is None:
            self._process = await PlayerProcess.start(self._order, self._folder / "job", verbose=self._verbose)
        answer = await self._process.replay(recording)
        if not self._process.usable:
            await self._process.end()
            self._process = None
        if isinstance(answer, Loss) or answer.result is None:
            return Replayed(answer, b"")
        return Replayed(answer, await asyncio.to_thread(_taken, Path(self._order.out, answer.result)))

    async def end(self) -> None:
        """End the process, and remove what is under way."""
        if self._process is not None:
            await self._process.end()
        self._exit.close()


def _taken(path: Path) -> bytes:
    """The content of a file, which is gone then."""
    content = path.read_bytes()
    path.unlink()
    return content
