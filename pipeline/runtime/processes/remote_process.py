"""A worker process on another host, as the supervisor sees it; and the address where such processes find the run."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from emopipe.pipeline.access.addresses import split_tcp, tcp_address
from emopipe.pipeline.access.allow_list import expand
from emopipe.pipeline.access.keys import read_pair
from emopipe.pipeline.errors import EmopipeError, StageFailed
from emopipe.pipeline.graph.spec import Remote, RemoteProcess
from emopipe.pipeline.runtime import control
from emopipe.pipeline.runtime.channel import (
    MAX_ORDER_BYTES,
    Access,
    BoundChannel,
    Context,
    Endpoint,
    Parts,
    new_key,
)
from emopipe.pipeline.runtime.processes.process import Stacks

LOST = -1


class ControlChannels:
    """The channel to the worker processes on this host, and that to those on others, where there are any.

    Args:
        context: of the first.
        folder: for sockets.
        near: the names of the processes on this host.
        remote: the others.
        received: called with the name of a process and the parts of each of its messages.
        window: how many messages of one may wait in a socket.

    Raises:
        EmopipeError: the address is in use, or not this machine's; or the run's own key cannot be read.
    """

    def __init__(
        self,
        context: Context,
        folder: Path,
        near: Collection[str],
        remote: Remote,
        received: Callable[[str, Parts], None],
        *,
        window: int,
    ) -> None:
        self._remote = remote
        bound = partial(BoundChannel, context, received=received, window=window, most=MAX_ORDER_BYTES)
        self._keys = {name: new_key() for name in near} | {name: each.key for name, each in remote.processes.items()}
        peers = {self._keys[name]: name for name in near}
        self._near = bound(address=f"ipc://{folder}/control", peers=peers)
        self._far: BoundChannel | None = None
        self._public = ""  # our key, for those on other hosts
        if not remote.processes:
            return
        peers = {process.key: name for name, process in remote.processes.items()}
        try:
            pair = remote.pair or read_pair(expand(remote.secret_key))
            self._public = pair.public
            access = Access(pair, folder / "far")
            self._far = bound(address=remote.endpoint, peers=peers, access=access)
        except EmopipeError as error:
            self._near.close()
            raise EmopipeError(f"pipeline.control.{error}") from None

    def endpoint(self, process: str) -> Endpoint:
        """Where a process finds the supervisor, and the key by which it is known there."""
        far = self._far if process in self._remote.processes else None
        return Endpoint((far or self._near).address, self._keys[process], self._public if far is not None else "")

    @property
    def refused(self) -> int:
        """Messages and connections of strangers."""
        return self._near.refused + (self._far.refused if self._far is not None else 0)

    def send(self, process: str, parts: Sequence[Any]) -> None:
        """Send to one process; to one that is not there (yet, or any more) it goes nowhere."""
        far = self._far if process in self._remote.processes else None
        (far or self._near).send(process, parts)

    def close(self) -> None:
        self._near.close()
        if self._far is not None:
            self._far.close()


def link_address(remote: Remote) -> str:
    """Where links from other hosts are bound on this one; empty where there are none."""
    return tcp_address(split_tcp(remote.endpoint)[0]) if remote.endpoint else ""


class RemoteWorkerProcess:
    """A process on another host: it came when it said hello, and has ended when it says so, or is lost."""

    pid = 0
    verdict = 0.0

    def __init__(self, name: str, stages: Sequence[str], remote: RemoteProcess, endpoint: str) -> None:
        self.name = name
        self.stages = stages
        self.wait: float | None = remote.wait
        command = f"emopipe worker --connect {endpoint} --server-key RUN.key --key {name}.key_secret"
        late = f"nobody with the key {remote.given} has come to {endpoint} within {remote.wait:g} s"
        more = f"give more time with processes.{name}.wait"
        self.missing = f"{self.title}: {late}; start it there with `{command}`, or {more}"
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._came = False

    @property
    def title(self) -> str:
        return f"process {self.name} on another host ({', '.join(self.stages)})"

    def heard(self, message: control.Hello | control.Closed) -> None:
        """It has come, or is at its end; if it comes again, what it did before is lost."""
        if isinstance(message, control.Closed):
            self.end(0)
        elif self._came:
            self.end(LOST)
        self._came = True

    async def exit_report(self, code: int) -> str:
        """How it ended, for the user."""
        return "the connection to it was lost" if code == LOST else "it has ended before its time"

    async def stacks(self) -> Stacks:
        """Where its threads are: nobody knows."""
        return Stacks("", "")

    def end(self, code: int) -> None:
        """It has said that it is at its end (0), or is lost."""
        if not self.exited.done():
            self.exited.set_result(code)

    def kill(self) -> None:
        """Give it up: there is no other way to end it than by what it is told."""
        self.end(LOST)

    def close(self) -> None:
        """Nothing of it is here."""


def need_own(process: str, spoken_of: Iterable[str], stages: Sequence[str]) -> None:
    """Refuse what a process says of the stages of others.

    Raises:
        StageFailed: it does so.
    """
    if strange := sorted(set(spoken_of) - set(stages)):
        raise StageFailed(f"process {process} speaks of {', '.join(strange)}, which is not its own")
