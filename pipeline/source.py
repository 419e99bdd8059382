"""The base of stages without inputs: what begins, ends and jumps in time."""

from typing import ClassVar, Protocol

from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Host
from emopipe.pipeline.stage import Stage


class HostOfSource(Host, Protocol):
    """The source's view of whatever runs it."""

    async def end(self, stream: str, output: str | None = None) -> None:
        """Send EOS of a stream."""

    def new_epoch(self, stream: str) -> None:
        """Begin a stream's time line anew."""

    async def writable(self, output: str, stream: str) -> None:
        """Return once an output has room."""

    def progress(self, done: int, total: int) -> None:
        """Take note of how far the source has come."""

    async def forward(self, output: str, message: Message) -> None:
        """Send a message as it is."""


class Source(Stage):
    """Base of all sources: `run` emits instead of `process`; nothing is promised that is not said in `watermark`."""

    host: HostOfSource
    returns: ClassVar[bool] = True
    """Whether its streams go on when it is restarted in live mode; those of callers, who are gone, end."""
    repeatable: ClassVar[bool] = False
    """Whether a second run of it, with the same settings, emits the same: then a replay can begin anew after a crash.

    It leaves out the streams in `host.finished`, which are done for good, and begins with one that is not.
    """

    async def run(self) -> None:
        """Emit until there is nothing more, and call `end(stream)` where a stream ends; cancelled to stop early."""
        raise NotImplementedError

    async def end(self, stream: str, output: str | None = None) -> None:
        """End a stream, on one output or on all; also where nothing was ever sent on it."""
        await self.host.end(stream, output)

    def new_epoch(self, stream: str) -> None:
        """Let a stream jump in time: what is emitted from here on may have any pts, and all state is forgotten.

        Not for a stream whose pictures and sound come of different sources: the other's time line goes on.
        """
        self.host.new_epoch(stream)

    async def writable(self, output: str, stream: str) -> None:
        """Return once a message of `stream` would make no link wait, and some link that drops could keep it.

        A live source awaits this before costly work, so that what cannot be kept is dropped before the work.
        """
        await self.host.writable(output, stream)

    async def forward(self, output: str, message: Message) -> None:
        """Send a recorded message with its own seq, epoch and watermark; instead of `emit`, `end` and `new_epoch`.

        What a source promises is then the recording's affair: whoever forwards has checked that it keeps it.
        """
        await self.host.forward(output, message)

    def progress(self, done: int, total: int) -> None:
        """Say how far the source has come, in ns of running time; `total` is 0 where nobody knows."""
        self.host.progress(done, total)
