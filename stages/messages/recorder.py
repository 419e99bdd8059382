"""mcap: keeps what outputs send, with its timing, so that a run can be looked into and run again."""

import time
from itertools import count
from pathlib import Path
from typing import Annotated, ClassVar

import msgspec

from emopipe.pipeline.message import Message, Payload
from emopipe.pipeline.port import ANY_PORT, Invalid, Port, about
from emopipe.pipeline.stage import Recorder, Stage
from emopipe.stages.messages.writer import RecordingWriter
from emopipe.stages.sinks.line_file import path_problem

PART = "part"  # in the journal: the file that this run has begun


class Mcap(Recorder):
    """Records messages as an MCAP file, a channel for each input, under the input's name.

    Every message is kept as it came: data with its arrays, gaps, watermarks and ends, with stream, epoch and trace. Its
    log time says when it passed. `messages` feeds the file back into a graph.
    """

    name = "mcap"
    # A slow disk must not hold up a live pipeline: what it has no time for is left out, and counted.
    inputs: ClassVar[dict[str, Port]] = {
        ANY_PORT: Port(Payload, "any output, under a name of your own", policy="drop-oldest", size=256)
    }

    class Settings(Stage.Settings, kw_only=True):
        path: Annotated[str, about("the .mcap file to write; an old one is overwritten", min_length=1)]

        def check(self) -> list[Invalid]:
            problem = path_problem(self.path)
            return [Invalid("path", problem)] if problem else []

        def writes(self) -> list[str]:
            return [str(Path(self.path).resolve())]

    settings: Settings

    async def setup(self) -> None:
        # By the wall clock, but never back: a clock that is set meanwhile does not change the pace.
        self._unix_time = time.time_ns() - self.host.clock.now()
        self._path = self._free_path()
        self._writer = RecordingWriter(self._path, {name: port.type for name, port in self.inputs.items()})
        self.exit.callback(self._writer.close)

    async def record(self, port: str, message: Message) -> None:
        if self.host.journal.get(PART) != self._path:
            self.host.journal.set(PART, self._path)
        *trace, _ = message.trace
        message = msgspec.structs.replace(message, trace=trace)
        self._writer.write(port, message, self._unix_time + self.host.clock.now())
        if message.stream:
            self.count("recorded", message.stream)
        else:
            self.counters["recorded"] += 1  # the end of all

    async def finish(self) -> None:
        self._writer.finish()

    def _free_path(self) -> str:
        """Where to write: in a live run that goes on after a crash a part of its own, so that what is there is kept."""
        path = Path(self.settings.path)
        if self.host.mode == "replay" or self.host.journal.get(PART) is None:
            return str(path)
        part = next(each for n in count(2) if not (each := path.with_stem(f"{path.stem}-{n}")).exists())
        self.warn(f"{self.host.journal.get(PART)} ends where its process did; it goes on in {part}")
        return str(part)
