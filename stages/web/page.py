"""page: results in a browser, beside one's own camera or beside a recording that is replayed."""

import asyncio
import contextlib
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import msgspec

from emopipe.models.labels import FACE
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.report import Interruption, RunSnapshot
from emopipe.pipeline.stage import Stage
from emopipe.stages.palette import EMOTION, OTHERS, ink
from emopipe.stages.sinks.clients import ClientCount
from emopipe.stages.sinks.records import count_result, record, timing
from emopipe.stages.types import Emotions, VideoFrame
from emopipe.stages.web.callers import Caller
from emopipe.stages.web.connection import PageConnection
from emopipe.stages.web.history import ResultHistory
from emopipe.stages.web.metrics import answer_with
from emopipe.stages.web.previews import Previews
from emopipe.stages.web.server import WebServer, WebSettings, parse_endpoint
from emopipe.stages.web.settings import token
from emopipe.stages.web.status import status

if TYPE_CHECKING:  # importing aiohttp takes 0.3 s, which a check of a graph need not spend
    from aiohttp import web

ASSETS = Path(__file__).parent / "assets"
_REMEDY = "install emopipe again"
CONTENT_TYPES = {".html": "text/html", ".css": "text/css", ".mjs": "text/javascript", ".svg": "image/svg+xml"}
MAX_OBSERVERS = 128  # pages that see all streams
MAX_OBSERVERS_PER_ADDRESS = 32
MAX_PAGES_PER_SESSION = 4
DRAIN_TIMEOUT_S = 1.0  # s that pages have to take in the end of a run

# Everything the page loads is ours, and nothing is written into the HTML itself.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
DEFAULT_NOTICE = "Pictures and sound are analysed on this server as they come, and are not stored."


class Page(Stage):
    """Serves a web page that shows who expresses what: to each sender by `webrtc` its own stream, to observers all.

    A page that cannot keep up loses results, and is told how many; it never holds up anything.
    """

    name = "page"
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
        ] = DEFAULT_NOTICE
        viewers: Annotated[int, about("how many pages to wait for before the first message", ge=0)] = 0
        wait: Annotated[float, about("the longest wait for them", unit="s", gt=0, le=3600)] = 300.0

        def check(self) -> list[Invalid]:
            there = (ASSETS / "index.html").is_file()
            return super().check() + ([] if there else [Invalid("use", f"{ASSETS}: its files are missing; {_REMEDY}")])

        def waits(self) -> float:
            return self.wait if self.viewers else 0.0

    settings: Settings

    async def setup(self) -> None:
        self._encoder = msgspec.json.Encoder()
        self._history = ResultHistory(round(self.settings.history * SECOND))
        self._previews = Previews(self.settings.preview_fps, self.settings.preview_size)
        self._pages: set[PageConnection] = set()
        self._run: RunSnapshot | None = None  # as it was lately
        self._viewers = ClientCount(self.settings.viewers)
        self._server = server = await WebServer.join(self.settings, self.warn)
        self.exit.push_async_callback(server.leave)
        self.exit.push_async_callback(self._close_pages)
        for file in await self.compute(lambda: sorted(ASSETS.iterdir())):
            server.route("GET", "/" if file.name == "index.html" else f"/{file.name}", _File(file).answer, public=True)
        server.route("GET", "/about.json", self._about, public=True)
        server.route("GET", "/metrics", answer_with(lambda: self._run))
        server.route("GET", "/streams", self._list)
        server.route("GET", "/results", self._watch)
        self._preview_task = self.exit.task(self._send_previews())
        self.warn(f"open {_link(self.settings)}{' to begin' if self.settings.viewers else ''}")
        remedy = f"open {_link(self.settings)} in a browser"
        await self._viewers.wait(self.settings.wait, "viewers", "pages were opened", remedy)

    async def process(self, port: str, message: Message) -> None:
        self._begin(message.stream)
        if port == "video":
            if self._preview_task.done():
                self._preview_task.result()  # it has failed
            if any(page.sees(message.stream) for page in self._pages):
                self._previews.offer(message)
            return
        count_result(self, message)
        result = {"type": "result", **record(message), "timing": timing(message, self.host.clock.now())}
        text = self._encoder.encode(result)
        self._history.add(message.stream, message.pts, text, decimate=message.payload.source == "face")
        self._send(message.stream, text, droppable=True)

    async def gap(self, port: str, message: Message) -> None:
        if port == "video":
            return
        self._begin(message.stream)
        count_result(self, message)
        gap = {"type": "gap", "stream": message.stream, "pts": message.pts, "duration": message.duration}
        self._send(message.stream, self._encoder.encode(gap), droppable=True)

    async def flush(self, stream: str) -> None:
        self._history.end(stream)
        self._send(stream, self._encoder.encode({"type": "eos", "stream": stream}))
        for page in self._pages:
            page.detach(stream)

    def reset(self, stream: str) -> None:
        self._previews.forget(stream)

    def status(self, run: RunSnapshot) -> None:
        self._run = run
        for page in self._pages:
            page.put_status(self._encoder.encode(status(run.reports, page.stream, page.dropped, (self.label, "video"))))

    def interrupted(self, interruption: Interruption) -> None:
        text = self._encoder.encode({"type": "notice", "text": f"{interruption.sentence}.", "last": False})
        for page in self._pages:
            if page.stream is None or page.stream in interruption.epochs:
                page.put(text)

    async def finish(self) -> None:
        with contextlib.suppress(TimeoutError):  # a page that is stuck has heard enough
            async with asyncio.timeout(DRAIN_TIMEOUT_S):
                await asyncio.gather(*(page.drained() for page in self._pages))

    async def _close_pages(self) -> None:
        pages = list(self._pages)
        for page in pages:
            self._forget(page)
        await asyncio.gather(*(page.close() for page in pages))

    # -- what pages are sent ---------------------------------------------------------------------------------

    def _begin(self, stream: str) -> None:
        if self._history.begin(stream):
            for page in self._pages:
                if page.sender_gone:
                    page.detach(stream)
                if page.stream in (None, stream):
                    page.put(self._streams(page))

    def _send(self, stream: str, text: bytes, *, droppable: bool = False) -> None:
        for page in self._pages:
            if page.stream in (None, stream):
                page.put(text, droppable=droppable)

    def _streams(self, page: PageConnection | None = None) -> bytes:
        streams = self._history.streams()
        if page is not None and page.stream is not None:
            streams = [each for each in streams if each["stream"] == page.stream]
        return self._encoder.encode({"type": "streams", "streams": streams})

    async def _send_previews(self) -> None:
        while True:
            message = await self._previews.newest()
            picture = await self.compute(self._previews.draw, message)
            self.counters["pictures"] += 1
            for page in self._pages:
                if page.sees(message.stream):
                    page.put_picture(picture)

    # -- what pages ask for ----------------------------------------------------------------------------------

    async def _about(self, request: "web.Request") -> "web.StreamResponse":
        from aiohttp import web

        labels = [{"name": name, "colour": EMOTION[name], "ink": ink(EMOTION[name])} for name in FACE]
        others = [{"colour": colour, "ink": ink(colour)} for colour in OTHERS]
        return web.json_response(
            {
                "labels": labels,
                "others": others,
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

        secret = request.query.get("session")
        session = self._server.sessions.find(secret) if secret is not None else None
        if secret is None:
            self._refuse_observers()
        elif session is None:
            raise web.HTTPNotFound(text="This session is over; start again.")
        network = Caller.of(request).network
        if session is not None and session.pages >= MAX_PAGES_PER_SESSION:
            raise web.HTTPTooManyRequests(text="This session is open in too many pages.", headers={"Retry-After": "10"})
        observers = [page for page in self._pages if page.session is None] if session is None else []
        own = sum(page.network == network for page in observers) if network is not None else 0
        if len(observers) >= MAX_OBSERVERS or own >= MAX_OBSERVERS_PER_ADDRESS:
            raise web.HTTPServiceUnavailable(text="Too many pages are open.", headers={"Retry-After": "10"})
        page = await PageConnection.accept(request, session, network)
        page.put(self._streams(page))
        for text in self._history.texts(page.stream):
            page.put(text)
        self._pages.add(page)
        self.counters["pages"] += 1
        self._viewers.add(1)
        try:
            return await page.serve()
        finally:
            self._forget(page)

    def _forget(self, page: PageConnection) -> None:
        if page in self._pages:
            self._pages.discard(page)
            self._viewers.add(-1)
            self.counters["lost_by_pages"] += page.dropped

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

        headers = {
            "Content-Security-Policy": CONTENT_SECURITY_POLICY,
            "Permissions-Policy": "camera=(self), microphone=(self)",
        }
        body = await asyncio.to_thread(self._path.read_bytes)
        return web.Response(body=body, content_type=CONTENT_TYPES[self._path.suffix], charset="utf-8", headers=headers)


def _link(settings: WebSettings) -> str:
    """What to open in a browser."""
    where = parse_endpoint(settings.endpoint)
    host = socket.gethostname() if where.host in ("0.0.0.0", "::") else where.host
    asks = " (it asks for the token)" if token(settings) else ""
    return f"{where.scheme}://{f'[{host}]' if ':' in host else host}:{where.port}{asks}"
