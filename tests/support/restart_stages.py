"""Stages for the tests of restarts: a source that can begin anew, a stage that fails once or always, two sinks."""

import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np

from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Port, about
from emopipe.pipeline.source import Source
from emopipe.pipeline.stage import Stage
from emopipe.stages.sinks.line_file import LineFile
from tests.support.toy_stages import Number


class Recordings(Source):
    """Counts, one stream after the other, as a capture of several files does."""

    name = "recordings"
    repeatable = True
    outputs: ClassVar[dict[str, Port]] = {"numbers": Port(Number, "the numbers")}

    class Settings(Stage.Settings):
        streams: Annotated[int, about("how many", ge=1)] = 3
        count: Annotated[int, about("numbers of each", ge=1)] = 100
        pause: Annotated[float, about("between two numbers", unit="s", ge=0)] = 0.0
        only: Annotated[list[str], about("the streams to play; empty: all")] = []  # noqa: RUF012

        def plays(self) -> list[str]:
            return self.only or [f"s{n}" for n in range(self.streams)]

        def part(self, streams: Sequence[str]) -> dict[str, Any]:
            return {"only": list(streams)}

    settings: Settings

    async def run(self) -> None:
        for stream in self.settings.plays():
            if stream in self.host.finished:
                continue
            for n in range(self.settings.count):
                payload = Number(value=n, ballast=np.zeros(10, np.uint8))
                await self.emit("numbers", payload, stream=stream, pts=n * 1_000_000)
                self.count("emitted", stream)
                await asyncio.sleep(self.settings.pause)
            await self.end(stream)


class Fragile(Stage):
    """Passes numbers on; at one of them something happens."""

    name = "fragile"
    inputs: ClassVar[dict[str, Port]] = {"numbers": Port(Number, "numbers")}
    outputs: ClassVar[dict[str, Port]] = {"numbers": Port(Number, "the same")}

    class Settings(Stage.Settings):
        stream: Annotated[str, about("the stream in which it happens")] = "s1"
        at: Annotated[int, about("the number at which it happens")] = -1
        how: Annotated[str, about("kill, stop, block, stuck, raise, explain, memory")] = "kill"
        times: Annotated[int, about("how often")] = 1

    settings: Settings

    async def process(self, port: str, message: Message) -> None:
        if message.stream == self.settings.stream and message.payload.value == self.settings.at:
            happened = self.host.journal.get("happened", 0)
            if happened < self.settings.times:
                self.host.journal.set("happened", happened + 1)
                await self._happen()
        await self.emit("numbers", message.payload, cause=message)

    async def _happen(self) -> None:
        match self.settings.how:
            case "kill":
                tempfile.mkstemp()  # as libraries have some open at any moment
                os.kill(os.getpid(), signal.SIGKILL)
            case "stop":
                os.kill(os.getpid(), signal.SIGSTOP)
            case "block":
                time.sleep(3600)  # noqa: ASYNC251  # that is the mistake
            case "stuck":
                await self.compute(time.sleep, 3600)
            case "raise":
                raise ZeroDivisionError("a number broke")
            case "explain":
                raise EmopipeError("this number is not yours")
            case "memory":
                self._held = np.ones(150 << 20, np.uint8)
                await asyncio.sleep(3600)


class Lines(Stage):
    """Writes a line a number, below the input's name, and goes on from what it has left behind."""

    name = "lines"
    resumes = True
    inputs: ClassVar[dict[str, Port]] = {"numbers": Port(Number, "numbers")}

    class Settings(Stage.Settings):
        path: Annotated[str, about("where to")]

    settings: Settings

    async def setup(self) -> None:
        host = self.host
        header = f"{next(iter(self.inputs))}\n".encode()
        self._file = LineFile(self.settings.path, header, journal=host.journal, finished=host.finished)
        self.exit.callback(self._file.close)

    async def process(self, port: str, message: Message) -> None:
        self._file.write(f"{message.stream} {self.text(message.payload)}\n".encode())

    def text(self, payload: Any) -> str:
        return str(payload.value)

    async def flush(self, stream: str) -> None:
        self._file.end(stream)

    async def finish(self) -> None:
        self._file.finish()


class Whole(Stage):
    """Writes all numbers at the end: of each attempt it needs everything."""

    name = "whole"
    inputs: ClassVar[dict[str, Port]] = {"numbers": Port(Number, "numbers")}

    class Settings(Stage.Settings):
        path: Annotated[str, about("where to")]

    settings: Settings

    async def setup(self) -> None:
        self._seen: list[str] = []

    async def process(self, port: str, message: Message) -> None:
        self._seen.append(f"{message.stream} {message.payload.value}\n")

    async def finish(self) -> None:
        Path(self.settings.path).write_text("".join(self._seen))  # noqa: ASYNC240
