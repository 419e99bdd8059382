"""What the tests of live sources share: a stage by itself on the machine's own clock, and streams sent to it."""

import asyncio
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from fractions import Fraction
from itertools import pairwise
from typing import Any, TypeVar

import av
import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.clock import SystemClock
from emopipe.pipeline.graph.settings import convert
from emopipe.pipeline.message import Message
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.testing import Outputs, StageHarness
from tests.support.paths import ROOT
from tests.support.waiting import PATIENCE, until

S = TypeVar("S", bound=Stage)
FPS = 25
RATE = 48_000


def made(cls: type[S], **settings: Any) -> S:
    """A stage with these settings, as a graph's table would give them."""
    converted, problems = convert(settings, cls.Settings)
    assert not problems, problems
    return cls(converted)


@asynccontextmanager
async def playing(stage: Stage) -> AsyncIterator[StageHarness]:
    """The stage, live, on the machine's clock; drained in the end."""
    harness = StageHarness(stage, mode="live")
    harness.clock = SystemClock()  # type: ignore[assignment]
    async with harness:
        yield harness
        await harness.drain()


def play(stage: Stage, enough: Callable[[Outputs], Any]) -> Outputs:
    """Let a stage play until that is enough, and stop it as Ctrl-C does."""

    async def drive() -> Outputs:
        async with playing(stage) as harness:
            await until(lambda: enough(harness.outputs))
        return harness.outputs

    return asyncio.run(drive())


class Sender:
    """Sends a stream as it happens: white pictures and a tone in the first 0.2 s of each second, black and silence.

    Args:
        address: to which; tried again until somebody listens. Of `tcp://HOST:PORT` we are the server.
        start: the time of the first frame (s).
        video, audio: whether there is any.
    """

    def __init__(
        self,
        address: str,
        *,
        format: str = "mpegts",
        options: Mapping[str, str] | None = None,
        start: float = 0.0,
        video: bool = True,
        audio: bool = True,
    ) -> None:
        self._address, self._format = address, format
        self._options = {"flush_packets": "1", **(options or {})}
        self._start, self._video, self._audio = start, video, audio
        self._server: socket.socket | None = None
        if address.startswith("tcp:"):  # not FFmpeg's own listening: PyAV would hold the GIL until somebody calls
            host, _, port = address.removeprefix("tcp://").partition(":")
            self._server = socket.create_server((host, int(port)))
            self._server.settimeout(0.2)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "Sender":
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE)
        if self._server is not None:
            self._server.close()

    def _work(self) -> None:
        while not self._stop.is_set():
            try:
                if self._server is None:
                    self._send(self._address)
                else:
                    with self._server.accept()[0] as connection, connection.makefile("wb", buffering=0) as file:
                        self._send(file)
            except (av.error.FFmpegError, OSError):  # nobody listens yet, or no more
                self._stop.wait(0.1)

    def _send(self, target: Any) -> None:
        with av.open(target, "w", format=self._format, options=self._options) as output:
            streams: list[tuple[Any, Iterator[Any]]] = []
            if self._video:
                video: Any = output.add_stream("mpeg2video", rate=FPS)
                video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
                video.gop_size = 5
                video.max_b_frames = 0
                streams.append((video, self._pictures()))
            if self._audio:
                streams.append((output.add_stream("mp2", rate=RATE, layout="mono"), self._sound()))
            began = time.monotonic() - self._start
            nexts = [next(frames) for _, frames in streams]
            while not self._stop.is_set():
                which = min(range(len(nexts)), key=lambda index: nexts[index].time)
                frame, (stream, frames) = nexts[which], streams[which]
                self._stop.wait(max(0.0, began + frame.time - time.monotonic()))
                output.mux(stream.encode(frame))
                nexts[which] = next(frames)

    def _pictures(self) -> Iterator[av.VideoFrame]:
        number = round(self._start * FPS)
        while True:
            grey = 235 if number % FPS < FPS // 5 else 16
            frame = av.VideoFrame.from_ndarray(np.full((180, 160), grey, np.uint8), "yuv420p")
            frame.planes[1].update(bytes([128]) * frame.planes[1].buffer_size)
            frame.planes[2].update(bytes([128]) * frame.planes[2].buffer_size)
            frame.pts, frame.time_base = number, Fraction(1, FPS)
            yield frame
            number += 1

    def _sound(self) -> Iterator[av.AudioFrame]:
        size = 1152
        start = round(self._start * RATE)
        while True:
            index = np.arange(start, start + size)
            tone = np.where(index % RATE < RATE // 5, 12_000 * np.sin(index * 2 * np.pi * 1000 / RATE), 0)
            frame = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None], "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
            yield frame
            start += size


@contextmanager
def sender_apart(address: str, format: str) -> Iterator[None]:
    """A sender in a process of its own: PyAV holds the GIL while FFmpeg announces a stream and waits for the answer."""
    command = [sys.executable, "-c", f"from tests.support.live_sources import *; serve({address!r}, {format!r})"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT) as process:
        try:
            yield
        finally:
            process.kill()


def serve(address: str, format: str) -> None:
    """Send until standard input ends."""
    with Sender(address, format=format, options={"rtsp_transport": "tcp"}):
        sys.stdin.read()


def flashes(messages: list[Message]) -> list[int]:
    """When (pts, ns) pictures turned white."""
    return _onsets([(m.pts, bool(m.payload.luma.mean() > 128)) for m in messages])


def beeps(messages: list[Message]) -> list[int]:
    """When (pts, ns) the tone began."""
    loud: list[tuple[int, bool]] = []
    for message in messages:
        samples: NDArray[np.float32] = message.payload.samples
        for at in range(0, len(samples) - 15, 16):
            loud.append((message.pts + at * 62_500, bool(np.abs(samples[at : at + 16]).max() > 0.1)))
    return _onsets(loud)


def _onsets(states: list[tuple[int, bool]]) -> list[int]:
    return [at for (_, before), (at, now) in pairwise(states) if now and not before]
