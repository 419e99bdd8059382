"""page: results in a browser, beside one's own camera or beside a recording that is replayed."""

import asyncio
import contextlib
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec

from emopipe.models.labels import FACE
from emopipe.models.thresholds import RISK, Doubt, doubt, shipped
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.message import Message
from emopipe.pipeline.report import Report
from emopipe.pipeline.stage import Port, Stage, about
from emopipe.stages.palette import EMOTION, ink
from emopipe.stages.sinks.records import account, record, timing
from emopipe.stages.types import Emotions, VideoFrame
from emopipe.stages.web.connection import Watcher
from emopipe.stages.web.history import Past
from emopipe.stages.web.previews import Pictures
from emopipe.stages.web.server import WebServer, WebSettings, address, web_problems
from emopipe.stages.web.settings import token
from emopipe.stages.web.status import status

if TYPE_CHECKING:  # importing aiohttp takes 0.3 s, which a check of a graph need not spend
    from aiohttp import web

ASSETS = Path(__file__).parent / "assets"
TYPES = {".html": "text/html", ".css": "text/css", ".mjs": "text/javascript", ".svg": "image/svg+xml"}
MOST_WATCHERS = 128
LAST_WORDS = 1.0  # s that pages have to take in the end of a run

# Everything the page loads is ours, and nothing is written into the HTML itself.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
NOTICE = "Pictures and sound are analysed on this server as they come, and are not stored."


class Page(Stage):
    """Serves a web page that shows who expresses what: to each sender by `webrtc` its own stream, to observers all.

    A page that cannot keep up loses results, and is told how many; it never holds up anything.
    """

    name = "page"
    watches: ClassVar[bool] = True
    inputs: ClassVar[dict[str, Port]] = {
        "emotions": Port(Emotions, "the results to show", policy="drop-oldest", size=16),
        "video": Port(VideoFrame, "pictures for observers to see", optional=True, policy="drop-oldest", size=1),
    }

    class Settings(WebSettings, kw_only=True):
        preview_fps: Annotated[float, about("pictures a second that observers see", unit="Hz", gt=0, le=60)] = 12.0
        preview_size: Annotated[int, about("longer side of these pictures, at most", unit="px", ge=64, le=1920)] = 640
        history: Annotated[
            float, about("how far back the results reach that a page gets when it opens", unit="s", ge=0, le=600)
        ] = 60.0
        observers: Annotated[
            bool, about("whether a page may watch all streams; otherwise each sender sees their own alone")
        ] = True
        notice: Annotated[
            str, about("what senders are told becomes of their pictures and sound; say so if the graph stores them")
        ] = NOTICE
        risk: Annotated[
            float,
            about("as in fusion: below which share of wrong answers a face or a voice alone is certain", gt=0, le=1),
        ] = RISK
        viewers: Annotated[int, about("how many pages to wait for before the first message", ge=0)] = 0
        wait: Annotated[float, about("the longest wait for them", unit="s", gt=0, le=3600)] = 300.0

    settings: Settings

    @classmethod
    def shared_endpoints(cls, settings: Any) -> list[str]:
        return [] if web_problems(settings) else [address(settings.endpoint).endpoint]

    @classmethod
    def check(cls, settings: Any) -> list[tuple[str, str]]:
        return web_problems(settings)

    def __init__(self, settings: Any = None, label: str = "") -> None:
        super().__init__(settings, label)
        self._encoder = msgspec.json.Encoder()
        self._past = Past(round(self.settings.history * SECOND))
        self._pictures = Pictures(self.settings.preview_fps, self.settings.preview_size)
        self._watchers: set[Watcher] = set()
        self._doubt = Doubt()
        self._enough = asyncio.Event()
        self._drawing: asyncio.Task[None] | None = None
        self._server: WebServer | None = None

    async def setup(self) -> None:
        self._doubt = await self.compute(doubt, shipped(), self.settings.risk)
        self._server = server = await WebServer.join(self.settings, self.warn)
        for file in await self.compute(lambda: sorted(ASSETS.iterdir())):
            server.route("GET", "/" if file.name == "index.html" else f"/{file.name}", _File(file).answer, public=True)
        server.route("GET", "/about.json", self._about, public=True)
        server.route("GET", "/streams", self._list)
        server.route("GET", "/results", self._watch)
        if self.connected("video"):
            self._drawing = asyncio.create_task(self._draw_pictures())
        self.warn(f"open {_link(self.settings)}{' to begin' if self.settings.viewers else ''}")
        await self._wait_for_viewers()

    async def process(self, port: str, message: Message) -> None:
        self._begin(message.stream)
        if port == "video":
            if self._drawing is not None and self._drawing.done():
                self._drawing.result()  # it has failed
            if any(watcher.sees(message.stream) for watcher in self._watchers):
                self._pictures.offer(message)
            return
        account(self, message)
        result = {"type": "result", **record(message), "timing": timing(message, self.host.clock.now())}
        text = self._encoder.encode(result)
        self._past.add(message.stream, message.pts, text, thin=message.payload.source == "face")
        self._send(message.stream, text, droppable=True)

    async def gap(self, port: str, message: Message) -> None:
        if port == "video":
            return
        self._begin(message.stream)
        account(self, message)
        gap = {"type": "gap", "stream": message.stream, "pts": message.pts, "duration": message.duration}
        self._send(message.stream, self._encoder.encode(gap), droppable=True)

    async def flush(self, stream: str) -> None:
        self._past.end(stream)
        self._send(stream, self._encoder.encode({"type": "eos", "stream": stream}))
        for watcher in self._watchers:
            watcher.part(stream)

    def reset(self, stream: str) -> None:
        self._pictures.forget(stream)

    def status(self, reports: Mapping[str, Report]) -> None:
        for watcher in self._watchers:
            watcher.put_status(
                self._encoder.encode(status(reports, watcher.stream, watcher.lost, f"{self.label}.video"))
            )

    async def finish(self) -> None:
        with contextlib.suppress(TimeoutError):  # a page that is stuck has heard enough
            async with asyncio.timeout(LAST_WORDS):
                await asyncio.gather(*(watcher.told() for watcher in self._watchers))

    async def close(self) -> None:
        if self._drawing is not None:
            self._drawing.cancel()
            await asyncio.gather(self._drawing, return_exceptions=True)
        watchers = list(self._watchers)
        for watcher in watchers:
            self._forget(watcher)
        await asyncio.gather(*(watcher.close() for watcher in watchers))
        if self._server is not None:
            await self._server.leave()

    # -- what pages are sent ---------------------------------------------------------------------------------

    def _begin(self, stream: str) -> None:
        if self._past.begin(stream):
            for watcher in self._watchers:
                if watcher.over:
                    watcher.part(stream)
                if watcher.stream in (None, stream):
                    watcher.put(self._streams(watcher))

    def _send(self, stream: str, text: bytes, *, droppable: bool = False) -> None:
        for watcher in self._watchers:
            if watcher.stream in (None, stream):
                watcher.put(text, droppable=droppable)

    def _streams(self, watcher: Watcher | None = None) -> bytes:
        streams = self._past.streams()
        if watcher is not None and watcher.stream is not None:
            streams = [each for each in streams if each["stream"] == watcher.stream]
        return self._encoder.encode({"type": "streams", "streams": streams})

    async def _draw_pictures(self) -> None:
        while True:
            message = await self._pictures.newest()
            picture = await self.compute(self._pictures.draw, message)
            self.counters["pictures"] += 1
            for watcher in self._watchers:
                if watcher.sees(message.stream):
                    watcher.put_picture(picture)

    async def _wait_for_viewers(self) -> None:
        wanted, wait = self.settings.viewers, self.settings.wait
        while len(self._watchers) < wanted:
            self._enough.clear()
            try:
                async with asyncio.timeout(wait):
                    await self._enough.wait()
            except TimeoutError:
                raise EmopipeError(
                    f"viewers: {len(self._watchers)} of {wanted} pages were opened within {wait:g} s; open "
                    f"{_link(self.settings)} in a browser, or give it more time with `wait`"
                ) from None

    # -- what pages ask for ----------------------------------------------------------------------------------

    async def _about(self, request: "web.Request") -> "web.StreamResponse":
        from aiohttp import web

        assert self._server is not None
        labels = [{"name": name, "colour": EMOTION[name], "ink": ink(EMOTION[name])} for name in FACE]
        return web.json_response(
            {
                "labels": labels,
                "doubt": self._doubt._asdict(),
                "history": self.settings.history,
                "notice": self.settings.notice,
                "senders": self._server.serves("POST", "/whip"),
                "observers": self.settings.observers,
                "pictures": self.connected("video"),
                "token": bool(token(self.settings)),
            }
        )

    async def _list(self, request: "web.Request") -> "web.StreamResponse":
        from aiohttp import web

        self._refuse_observers()
        return web.Response(body=self._streams(), content_type="application/json")

    async def _watch(self, request: "web.Request") -> "web.StreamResponse":
        from aiohttp import web

        assert self._server is not None
        secret = request.query.get("session")
        session = self._server.sessions.find(secret) if secret is not None else None
        if secret is None:
            self._refuse_observers()
        elif session is None:
            raise web.HTTPNotFound(text="This session is over; start again.")
        if len(self._watchers) >= MOST_WATCHERS:
            raise web.HTTPServiceUnavailable(text="Too many pages are open.", headers={"Retry-After": "10"})
        watcher = await Watcher.accept(request, session)
        watcher.put(self._streams(watcher))
        for text in self._past.texts(watcher.stream):
            watcher.put(text)
        self._watchers.add(watcher)
        self.counters["pages"] += 1
        self._enough.set()
        try:
            return await watcher.serve()
        finally:
            self._forget(watcher)

    def _forget(self, watcher: Watcher) -> None:
        if watcher in self._watchers:
            self._watchers.discard(watcher)
            self.counters["lost_by_pages"] += watcher.lost

    def _refuse_observers(self) -> None:
        from aiohttp import web

        if not self.settings.observers:
            raise web.HTTPForbidden(text="Here everybody sees their own stream alone.")


class _File:
    """One file of the page; read anew each time, so that an edit shows on reload."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def answer(self, request: "web.Request") -> "web.StreamResponse":
        from aiohttp import web

        headers = {"Content-Security-Policy": POLICY, "Permissions-Policy": "camera=(self), microphone=(self)"}
        body = await asyncio.to_thread(self._path.read_bytes)
        return web.Response(body=body, content_type=TYPES[self._path.suffix], charset="utf-8", headers=headers)


def _link(settings: WebSettings) -> str:
    """What to open in a browser."""
    where = address(settings.endpoint)
    host = socket.gethostname() if where.host in ("0.0.0.0", "::") else where.host
    asks = " (it asks for the token)" if token(settings) else ""
    return f"{where.scheme}://{f'[{host}]' if ':' in host else host}:{where.port}{asks}"
