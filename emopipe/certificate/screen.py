"""Stimuli of known moments for a camera and a microphone that are there: a page of a browser shows and says them."""

import asyncio
import io
import threading
import time
import wave
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import msgspec

from emopipe.certificate.stimuli import PAUSE_S, SHOWN_S, pauses, seconds, voice
from emopipe.pipeline.clock import MS
from emopipe.pipeline.errors import EmopipeError
from emopipe.stages.capture.pattern import portrait
from emopipe.stages.media.audio import SAMPLE_RATE_HZ
from emopipe.stages.web.server import WebServer, WebSettings, parse_endpoint

if TYPE_CHECKING:  # importing aiohttp takes 0.3 s
    from aiohttp import web

EXAMPLE = "http://127.0.0.1:8075"
ASSETS = Path(__file__).parent / "assets"
FILES = {"/": ("screen.html", "text/html"), "/screen.mjs": ("screen.mjs", "text/javascript")}
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FACE_PX = 800
OPEN_S = 300.0  # that somebody has to open the page
REPORT_S = 5.0  # that the page has to say when it showed a stimulus
PING_S = 0.1
KEPT_PINGS = 100  # of which that counts which was answered fastest
MAX_MESSAGE_BYTES = 1024


class Pong(msgspec.Struct, tag="pong"):
    """The page's answer to a ping: our clock when it was sent (ns), and the page's own (ms)."""

    sent: int
    at: float


class Shown(msgspec.Struct, tag="shown"):
    """When a stimulus was handed to the screen, and to the loudspeaker, by the page's clock (ms)."""

    light: float
    sound: float


class Screen:
    """Serves the page and tells it when to show and say what; as `Stimuli`, which see, in a thread of its own.

    The page's clock is compared with ours all the time: of the answers to the last 100 pings that counts which came
    back fastest, and its clock is taken to have been read halfway.

    Attributes:
        error: how far a moment may be off, at most, for want of knowing the page's clock better (ns).

    Raises:
        EmopipeError: there is no face or voice to show (`emopipe[demo]`), or the address is none of this machine alone.
    """

    def __init__(self, count: int, address: str, *, seed: int = 0) -> None:
        try:
            loopback = parse_endpoint(address).loopback
        except ValueError as error:
            raise EmopipeError(f"--screen: {error}") from None
        if not loopback:
            raise EmopipeError(
                f"--screen {address}: others would be shown the page, too; expected an address such as {EXAMPLE}"
            )
        self.moments: list[tuple[int, int]] = []
        self.ended = threading.Event()
        self.problem: Exception | None = None
        self.address = address
        self.error = 0
        self._pauses = pauses(count, seed)
        self._face, self._voice = _png(), _wav()
        self._begun = threading.Event()
        self._stopped = threading.Event()
        self._serving = threading.Event()
        self._offsets: deque[tuple[int, int]] = deque(maxlen=KEPT_PINGS)  # (way there and back, ours less theirs), ns
        self._thread = threading.Thread(target=self._run, name="screen", daemon=True)

    @property
    def seconds(self) -> float:
        """How long all of them take from `begin` on."""
        return seconds(self._pauses)

    def start(self) -> None:
        """Serve the page."""
        self._thread.start()
        self._serving.wait()
        if self.problem is not None:
            raise self.problem

    def begin(self) -> None:
        """Show and say, once the page is open."""
        self._begun.set()

    def __enter__(self) -> "Screen":
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except (EmopipeError, OSError) as error:
            self.problem = error
        finally:
            self._serving.set()
            self.ended.set()

    async def _serve(self) -> None:
        self._page: asyncio.Future[web.WebSocketResponse] = asyncio.get_running_loop().create_future()
        self._gone = asyncio.Event()
        self._shown: asyncio.Queue[Shown | None] = asyncio.Queue()  # None: the page has gone
        server = await WebServer.join(WebSettings(endpoint=self.address))
        try:
            for path, (name, kind) in FILES.items():
                server.route("GET", path, _answer((ASSETS / name).read_bytes(), kind), public=True)
            server.route("GET", "/face.png", _answer(self._face, "image/png"), public=True)
            server.route("GET", "/voice.wav", _answer(self._voice, "audio/wav"), public=True)
            server.route("GET", "/stimuli", self._connect, public=True)
            self._serving.set()
            await self._show_all()
        except ConnectionError:
            raise EmopipeError(f"the page {self.address} was closed before the last stimulus; keep it open") from None
        finally:
            await server.leave()

    async def _show_all(self) -> None:
        began = time.monotonic()
        while not (self._page.done() and self._begun.is_set()):
            if self._stopped.is_set():
                return
            if time.monotonic() - began > OPEN_S:
                nobody = f"nobody opened {self.address} and pressed Begin"
                what = "camera and microphone gave nothing" if self._page.done() else nobody
                raise EmopipeError(f"{what} within {OPEN_S:.0f} s")
            await asyncio.sleep(PING_S)
        page = self._page.result()
        for pause in self._pauses:
            await self._pause(page, pause)
            if self._stopped.is_set():
                return
            await page.send_json({"show": SHOWN_S * 1000})
            try:
                shown = await asyncio.wait_for(self._shown.get(), REPORT_S)
            except TimeoutError:
                raise EmopipeError(
                    f"the page {self.address} did not show a stimulus; keep it open, in front and uncovered"
                ) from None
            if shown is None:
                raise ConnectionResetError
            way, offset = min(self._offsets)
            self.error = max(self.error, way // 2)
            self.moments.append((round(shown.light * MS) + offset, round(shown.sound * MS) + offset))
        await self._pause(page, SHOWN_S + PAUSE_S)
        await page.close()

    async def _pause(self, page: "web.WebSocketResponse", length: float) -> None:
        """Wait so long, and ask for the page's clock meanwhile.

        Raises:
            ConnectionResetError: the page has gone.
        """
        end = time.monotonic() + length
        while (left := end - time.monotonic()) > 0 and not self._stopped.is_set():
            if self._gone.is_set():
                raise ConnectionResetError
            await page.send_json({"ping": time.monotonic_ns()})
            await asyncio.sleep(min(PING_S, left))

    async def _connect(self, request: "web.Request") -> "web.WebSocketResponse":
        from aiohttp import web

        if self._page.done():
            raise web.HTTPConflict(text="The stimuli are shown on another page already.")
        page = web.WebSocketResponse(max_msg_size=MAX_MESSAGE_BYTES, compress=False)
        await page.prepare(request)
        self._page.set_result(page)
        decoder = msgspec.json.Decoder(Pong | Shown)
        try:
            async for message in page:
                said = decoder.decode(message.data)
                if isinstance(said, Shown):
                    self._shown.put_nowait(said)
                else:
                    now = time.monotonic_ns()
                    self._offsets.append((now - said.sent, (now + said.sent) // 2 - round(said.at * MS)))
        finally:
            self._gone.set()
            self._shown.put_nowait(None)
        return page


def _answer(content: bytes, kind: str) -> Callable[["web.Request"], Awaitable["web.Response"]]:
    async def answer(request: "web.Request") -> "web.Response":
        from aiohttp import web

        headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
        return web.Response(body=content, content_type=kind, headers=headers)

    return answer


def _png() -> bytes:
    encoded, content = cv2.imencode(".png", cv2.cvtColor(portrait(FACE_PX), cv2.COLOR_RGB2BGR))
    assert encoded
    return content.tobytes()


def _wav() -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(SAMPLE_RATE_HZ)
        file.writeframes(voice().tobytes())
    return made.getvalue()
