"""A room in which `emopipe certify --screen` is tried: a page that shows what it is told, a camera, a microphone."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import Any

import aiohttp
import av
import numpy as np

from emopipe.certificate.stimuli import BLACK, FPS, HEIGHT_PX, SHOWN_S, WIDTH_PX, voice
from emopipe.pipeline.clock import MS, SECOND
from emopipe.stages.capture.pattern import portrait
from emopipe.stages.media.audio import SAMPLE_RATE_HZ

PAGE_CLOCK_MS = 1e7  # by which the page's clock is ahead of ours
PATIENCE_S = 30.0
POLL_S = 0.2


class Room:
    """Its page reports each stimulus at once; `light` ns later the camera sees it, `sound` ns later it is heard.

    Attributes:
        told: when the page was told to show something (monotonic ns).
        camera, microphone: what their stages take for a device, in the format nut.
    """

    def __init__(self, address: str, *, light: int, sound: int) -> None:
        self.told: list[int] = []
        self._address, self._light, self._sound = address, light, sound
        self._left = threading.Event()
        self._servers = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.camera, self.microphone = (f"tcp://127.0.0.1:{each.getsockname()[1]}" for each in self._servers)
        self._threads = [
            threading.Thread(target=target, args=args, daemon=True)
            for target, *args in ((self._show,), (self._give, self._see), (self._give, self._hear))
        ]

    def __enter__(self) -> "Room":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._left.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        for server in self._servers:
            server.close()

    def _show(self) -> None:
        asyncio.run(watch_page(self._address, self._take))

    def _give(self, device: Callable[[], None]) -> None:
        with suppress(OSError, av.error.FFmpegError):  # who watched has gone
            device()

    def _take(self, order: dict[str, Any]) -> dict[str, Any] | None:
        if self._left.is_set():
            return None
        if "show" in order:
            self.told.append(time.monotonic_ns())
        return page_answer(order, self.told)

    def _since(self, now: int, delay: int) -> float:
        """How long the newest stimulus has been there, in s; before the first, long."""
        return (now - self.told[-1] - delay) / SECOND if self.told else np.inf

    def _see(self) -> None:
        black = np.full((HEIGHT_PX, WIDTH_PX, 3), BLACK, np.uint8)
        face = np.full_like(black, 200)
        side = HEIGHT_PX * 4 // 5
        top, left = (HEIGHT_PX - side) // 2, (WIDTH_PX - side) // 2
        face[top : top + side, left : left + side] = portrait(side)
        with self._watched(self._servers[0]) as out:
            picture = out.add_stream("libx264", rate=FPS, options={"preset": "ultrafast", "tune": "zerolatency"})
            picture.width, picture.height, picture.pix_fmt = WIDTH_PX, HEIGHT_PX, "yuv420p"
            for number, due in self._ticks():
                exposed = due - SECOND // FPS  # a camera hands over what it began to see a picture ago
                there = 0 <= self._since(exposed, self._light) < SHOWN_S
                frame = av.VideoFrame.from_ndarray(face if there else black, "rgb24")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                out.mux(picture.encode(frame))

    def _hear(self) -> None:
        spoken, size = voice(), SAMPLE_RATE_HZ // FPS
        with self._watched(self._servers[1]) as out:
            sound = out.add_stream("pcm_s16le", rate=SAMPLE_RATE_HZ, layout="mono")
            for number, due in self._ticks():
                since = self._since(due - SECOND // FPS, self._sound)
                first = round(min(since, PATIENCE_S) * SAMPLE_RATE_HZ)  # of the voice, in this block
                heard = np.zeros(size, np.int16)
                part = spoken[max(0, first) : max(0, first + size)]
                start = max(0, -first)
                heard[start : start + len(part)] = part
                block = av.AudioFrame.from_ndarray(heard[None], format="s16", layout="mono")
                block.sample_rate, block.pts = SAMPLE_RATE_HZ, number * size
                block.time_base = Fraction(1, SAMPLE_RATE_HZ)
                out.mux(sound.encode(block))

    def _ticks(self) -> Iterator[tuple[int, int]]:
        """Each number and moment at which a device gives something."""
        start = time.monotonic_ns()
        number = 0
        while not self._left.is_set():
            due = start + number * SECOND // FPS
            self._left.wait(max(0, due - time.monotonic_ns()) / SECOND)
            yield number, due
            number += 1

    def _accepted(self, server: socket.socket) -> socket.socket:
        server.settimeout(POLL_S)
        while not self._left.is_set():
            with suppress(TimeoutError):
                return server.accept()[0]
        raise OSError("nobody has come")

    @contextmanager
    def _watched(self, server: socket.socket) -> Iterator[Any]:
        """An output to whoever opens the device."""
        with self._accepted(server) as connection, connection.makefile("wb", buffering=0) as file:
            with av.open(file, "w", format="nut", container_options={"flush_packets": "1"}) as out:
                yield out


async def watch_page(address: str, answer: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
    """Be the page at `address` once it is served, until `answer` is None or it is told that this is the end."""
    async with aiohttp.ClientSession() as session:
        while True:
            try:
                page = await session.ws_connect(f"{address}/stimuli")
                break
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.02)
        async for message in page:
            said = answer(message.json())
            if said is None:
                await page.close()
            else:
                await page.send_json(said)


def page_answer(order: dict[str, Any], told: list[int]) -> dict[str, Any]:
    """What a page says: its clock, or that it has shown the last that it was told to, the sound 5 ms later."""
    if "ping" in order:
        return {"type": "pong", "sent": order["ping"], "at": time.monotonic_ns() / MS + PAGE_CLOCK_MS}
    shown = told[-1] / MS + PAGE_CLOCK_MS
    return {"type": "shown", "light": shown, "sound": shown + 5}
