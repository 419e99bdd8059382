"""Small stages for the tests of the runtime; used in graphs as `tests.support.toy_stages:NAME`."""

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.clock import settle
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.load import Graph, graph_from_table
from emopipe.pipeline.message import Message, Payload
from emopipe.pipeline.port import Port, about
from emopipe.pipeline.report import RunSnapshot
from emopipe.pipeline.source import Source
from emopipe.pipeline.stage import Stage


class Number(Payload):
    value: int
    ballast: NDArray[np.uint8]


def toy_graph(path: Path, *, mode: str = "replay", together: bool = False, **settings: dict[str, Any]) -> Graph:
    """Numbers that are doubled and written to a file; `settings` are more lines of each stage's table."""
    stages: dict[str, Any] = {
        "count": {"use": f"{__name__}:Numbers"},
        "double": {"use": f"{__name__}:Double", "inputs": {"numbers": "count.numbers"}},
        "write": {"use": f"{__name__}:Write", "inputs": {"numbers": "double.numbers"}, "path": str(path)},
    }
    for name, table in settings.items():
        stages[name] |= table
    if together:
        for table in stages.values():
            table["process"] = "all"
    return graph_from_table({"pipeline": {"name": "toy", "mode": mode}, "stages": stages}, "toy.toml")


class Numbers(Source):
    """Counts from 0, one number a millisecond of running time."""

    name = "numbers"
    outputs: ClassVar[dict[str, Port]] = {"numbers": Port(Number, "the numbers")}

    class Settings(Stage.Settings):
        count: Annotated[int, about("how many; 0 goes on for ever", ge=0)] = 100
        ballast: Annotated[int, about("size of the array that travels along", unit="bytes", ge=0)] = 10
        pause: Annotated[float, about("between two numbers", unit="s", ge=0)] = 0.0
        streams: Annotated[int, about("how many streams, in turn", ge=1)] = 1

    settings: Settings

    async def run(self) -> None:
        n = 0
        while not self.settings.count or n < self.settings.count:
            payload = Number(value=n, ballast=np.full(self.settings.ballast, n % 256, np.uint8))
            await self.emit("numbers", payload, stream=f"s{n % self.settings.streams}", pts=n * 1_000_000)
            n += 1
            await asyncio.sleep(self.settings.pause)


class Double(Stage):
    """Doubles each number, or does something bad to one of them."""

    name = "double"
    inputs: ClassVar[dict[str, Port]] = {"numbers": Port(Number, "numbers", policy="drop-oldest", size=4)}
    outputs: ClassVar[dict[str, Port]] = {"numbers": Port(Number, "twice the numbers")}

    class Settings(Stage.Settings):
        at: Annotated[int, about("the number at which it happens, or the next where that one was dropped")] = -1
        how: Annotated[
            str,
            about(
                "what happens: raise, mend, kill, exit, hang, setup, hang-setup, warn, flood, deluge, child, noise, "
                "dtype, close, slow-close, crowd"
            ),
        ] = ""
        slow: Annotated[float, about("time for each number", unit="s")] = 0.0
        hangs: Annotated[str, about("a file that is made just before it hangs")] = ""

    settings: Settings
    _dtype = np.dtype(np.uint8)
    _happened = False

    async def close(self) -> None:
        if self.settings.how == "close":
            raise EmopipeError("the last page does not fit; make room")
        if self.settings.how == "slow-close":
            await asyncio.sleep(1.5)
            print("closed after all", file=sys.stderr)

    async def setup(self) -> None:
        if self.settings.how == "setup":
            raise EmopipeError("nothing to double with; bring a two")
        if self.settings.how == "hang-setup":
            await asyncio.sleep(3600)

    async def process(self, port: str, message: Message) -> None:
        if 0 <= self.settings.at <= message.payload.value and not self._happened:
            self._happened = True
            self._misbehave()
            if self.settings.how == "crowd":
                await self._crowd()
        if self.settings.slow:
            await self.compute(time.sleep, self.settings.slow)
        if self.settings.how == "deluge":
            for scratch in range(1000):
                self.warn(f"scratch {scratch} on {message.payload.value}")
        ballast = message.payload.ballast.astype(self._dtype)
        doubled = Number(value=2 * message.payload.value, ballast=ballast)
        await self.emit("numbers", doubled, cause=message)

    async def _crowd(self) -> None:
        """Let somebody connect to a server of ours while no file can be opened."""
        self._server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        self._caller = socket.create_connection(self._server.sockets[0].getsockname())
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))  # standard input, output and error
        await settle()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    def _misbehave(self) -> None:
        match self.settings.how:
            case "raise":
                raise ZeroDivisionError("doubling failed")
            case "mend":
                raise EmopipeError("this number is not yours")
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "exit":
                os._exit(3)
            case "hang":
                Path(self.settings.hangs).touch()
                time.sleep(3600)
            case "warn":
                self.damaged("the number is scratched")
            case "flood":
                for scratch in range(50_000):
                    self.warn(f"scratch {scratch}")
            case "child":  # keeps our standard error open
                subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
                os.kill(os.getpid(), signal.SIGKILL)
            case "noise":
                os.write(2, b"x" * 300_000)
                os._exit(3)
            case "dtype":
                self._dtype = np.dtype(np.float64)


class Write(Stage):
    """Writes one line a number: stream, value, and the length of what travelled along."""

    name = "write"
    inputs: ClassVar[dict[str, Port]] = {"numbers": Port(Number, "numbers")}

    class Settings(Stage.Settings):
        path: Annotated[str, about("where to")]
        slow: Annotated[float, about("time for each number", unit="s")] = 0.0

    settings: Settings

    async def setup(self) -> None:
        self._file = Path(self.settings.path).open("w", buffering=1)  # noqa: ASYNC230, SIM115

    async def process(self, port: str, message: Message) -> None:
        if self.settings.slow:
            await asyncio.sleep(self.settings.slow)
        assert bool((message.payload.ballast == message.payload.value // 2 % 256).all())
        self._file.write(f"{message.stream} {message.payload.value} {len(message.payload.ballast)}\n")
        self.counters["lines"] += 1

    async def close(self) -> None:
        self._file.write("closed\n")
        self._file.close()


class Watch(Stage):
    """Writes down what it is told of the others, and when running time began."""

    name = "watch"
    inputs: ClassVar[dict[str, Port]] = {"numbers": Port(Number, "numbers")}

    class Settings(Stage.Settings):
        path: Annotated[str, about("where to")]

    settings: Settings

    async def process(self, port: str, message: Message) -> None:
        self.count("seen", message.stream)

    def status(self, run: RunSnapshot) -> None:
        seen = sum(run.reports["watch"].streams.get("s0", {}).values()) if "watch" in run.reports else 0
        line = f"{self.host.base_time} {self.running_time()} {seen} {' '.join(sorted(run.reports))}"
        with Path(self.settings.path).open("a") as file:
            file.write(line + "\n")
