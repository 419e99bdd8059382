"""webrtc: people and programs that send their camera and microphone over WebRTC, each as a stream of its own."""

import asyncio
import re
import secrets
from importlib import import_module
from itertools import count
from typing import TYPE_CHECKING, Annotated, ClassVar

from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.source import Source
from emopipe.stages.media.audio import BLOCK_S
from emopipe.stages.media.frames import LUMA_SIZE_PX, SMALL_SIZE_PX
from emopipe.stages.types import AudioBlock, VideoFrame
from emopipe.stages.web.callers import Caller
from emopipe.stages.web.server import FairRateLimit, WebServer, WebSettings
from emopipe.stages.webrtc.offer import OfferError, parse_offer
from emopipe.stages.webrtc.peer import Peer, own_addresses
from emopipe.stages.webrtc.places import Places, free_name
from emopipe.stages.webrtc.task_errors import contain_task_errors

if TYPE_CHECKING:
    from aiohttp import web
    from aiortc import RTCIceServer

SDP = "application/sdp"
STREAM_HEADER = "Emopipe-Stream"
RETRY_AFTER_S = "5"  # s
LOADING_RETRY_AFTER_S = "1"  # s to wait for a server that is about to play
BODY_TIMEOUT_S = 10.0  # s that the body of an offer may take

_ICE = re.compile(r"(stun|stuns|turn|turns):[^\s<>\"]+")


class WebRtc(Source):
    """Takes offers by WHIP (RFC 9725) at `/whip`: VP8 or H264 pictures, Opus sound, either or both.

    A sender's stream is `LABEL/NAME`, by this stage's label and `/whip?name=NAME` where that is free, else `peer-1`,
    `peer-2` …; its pts 0 is its first packet. Sound and pictures are put on one clock by RTCP sender reports, by their
    arrival until these come. A sender may join and leave at any time, and one that is gone without a word is noticed
    within `patience`. Counts `offers`, `refused` (of these), `peers` (that were answered), and by stream what
    `stages.capture.live_tracks` does.
    """

    name = "webrtc"
    work_ms = 5.0
    memory_mb = 50.0
    returns = False  # whoever was connected is gone, and comes back as another
    outputs: ClassVar[dict[str, Port]] = {
        "video": Port(VideoFrame, "the pictures, of each sender the newest there is room for"),
        "audio": Port(AudioBlock, "the sound, 16 kHz mono, that follows the pictures' clock; gaps where none came"),
    }

    class Settings(WebSettings, kw_only=True):
        max_peers: Annotated[int, about("senders at a time; who has not connected yet takes no place", ge=1)] = 8
        max_peers_per_address: Annotated[
            int,
            about("of these from one address (of IPv6 a /64 network); not of this machine's own or a proxy's", ge=1),
        ] = 4
        max_offer: Annotated[int, about("the largest offer", unit="bytes", ge=1000, le=200_000)] = 65_536
        offers_per_second: Annotated[float, about("offers answered a second, over all senders", gt=0)] = 5.0
        max_size: Annotated[int, about("the longer side of a picture, at most", unit="px", ge=64)] = 1920
        max_fps: Annotated[float, about("pictures a second of one sender; others are skipped", gt=0, le=240)] = 60.0
        patience: Annotated[float, about("a sender that sends no media for so long is let go", unit="s", gt=0)] = 5.0
        ice_servers: Annotated[
            tuple[str, ...], about("STUN and TURN servers to get through NATs, such as stun:stun.example.org:3478")
        ] = ()
        ice_username: Annotated[str, about("for the TURN servers")] = ""
        ice_credential: Annotated[str, about("for the TURN servers")] = ""
        small_size: Annotated[int, about("longer side of the RGB image, at most", unit="px", ge=64)] = SMALL_SIZE_PX
        luma_size: Annotated[int, about("longer side of the luma plane, at most", unit="px", ge=64)] = LUMA_SIZE_PX
        block: Annotated[float, about("length of a block of sound", unit="s", ge=0.01, le=1)] = BLOCK_S

        def check(self) -> list[Invalid]:
            problems = super().check()
            for server in self.ice_servers:
                if not _ICE.fullmatch(server):
                    problems.append(
                        Invalid("ice_servers", f"{server!r} is no ICE server; expected stun:HOST:PORT or turn:…")
                    )
            return problems

        def secrets(self) -> list[str]:
            return [*super().secrets(), self.ice_credential]

        def latency(self) -> float:
            return self.block

    settings: Settings

    async def setup(self) -> None:
        if self.host.mode != "live":
            raise EmopipeError(f'{self.label} takes what is sent to it as it comes: set mode = "live" in [pipeline]')
        self._peers: dict[str, Peer | None] = {}  # by stream, as offered; None while the offer is being answered
        self._places = Places(self.settings.max_peers, self.settings.max_peers_per_address, self._peers)
        self._tasks: set[asyncio.Task[None]] = set()
        self._numbers = count(1)
        self._playing = False
        await self.compute(import_module, "aiortc")  # before anybody waits for an answer
        self.exit.callback(contain_task_errors(("aiortc", "aioice"), self.warn))
        self._server = server = await WebServer.join(self.settings, self.warn)
        self.exit.push_async_callback(server.leave)
        self.exit.push_async_callback(self._cancel_tasks)
        rate = self.settings.offers_per_second
        limit = FairRateLimit(rate, max(2 * rate, 5))
        server.route("POST", "/whip", self._offered, limit=limit)
        server.route("OPTIONS", "/whip", self._options, public=True)
        server.route("DELETE", "/whip/{secret}", self._deleted)

    async def run(self) -> None:
        self._playing = True
        try:
            await asyncio.Future()  # until the run is drained or stopped
        finally:
            self._playing = False
            for peer in self._peers.values():
                if peer is not None:
                    peer.finish("The server has stopped.")
            await asyncio.gather(*self._tasks)

    async def _cancel_tasks(self) -> None:
        for task in self._tasks:  # of a run that was cut short
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # -- WHIP ------------------------------------------------------------------------------------------------

    async def _options(self, request: "web.Request") -> "web.StreamResponse":
        from aiohttp import web

        return web.Response(status=204, headers={"Allow": "POST, OPTIONS", "Accept-Post": SDP})

    async def _offered(self, request: "web.Request") -> "web.StreamResponse":
        from aiohttp import web

        if not self._playing:
            raise web.HTTPServiceUnavailable(
                text="The models are being loaded; try again in a moment.",
                headers={"Retry-After": LOADING_RETRY_AFTER_S},
            )
        self.counters["offers"] += 1
        try:
            return await self._answer(request)
        except OfferError as error:
            self.counters["refused"] += 1
            retry = {"Retry-After": RETRY_AFTER_S} if error.status == 503 else {}
            return web.Response(status=error.status, text=str(error), headers=retry)

    async def _answer(self, request: "web.Request") -> "web.StreamResponse":
        from aiohttp import web

        caller = Caller.of(request)
        offer = parse_offer(await self._body(request), caller.address, len(own_addresses()))
        if refusal := self._places.refusal(caller.network):
            raise OfferError(503, refusal)
        self._places.make_room(caller.network)
        stream = free_name(self.label, request.query.get("name", ""), self._peers, self._numbers)
        self._peers[stream] = None
        session = self._server.sessions.open(stream)
        try:
            peer = Peer(
                self,
                session,
                self.settings,
                self._ice_servers(),
                network=caller.network,
                admit=lambda: self._places.refusal(caller.network),
            )
            answer = await peer.answer(offer.text, offer.kinds)
        except BaseException:
            self._server.sessions.close(session)
            del self._peers[stream]
            raise
        self._peers[stream] = peer
        self._start(peer)
        headers = {"Location": f"/whip/{session.secret}", "ETag": f'"{secrets.token_hex(8)}"', STREAM_HEADER: stream}
        response = web.Response(status=201, text=answer, content_type=SDP, headers=headers)
        for link in self._links():
            response.headers.add("Link", link)
        return response

    async def _deleted(self, request: "web.Request", secret: str) -> "web.StreamResponse":
        from aiohttp import web

        session = self._server.sessions.find(secret)
        if session is None:
            raise web.HTTPNotFound(text="There is no such session.")
        if (peer := self._peers.get(session.stream)) is not None and peer.session is session:
            peer.finish()
        return web.Response(status=200)

    async def _body(self, request: "web.Request") -> bytes:
        from aiohttp import web

        if request.content_type != SDP:
            raise OfferError(415, f"An offer is sent as {SDP}, not as {request.content_type}.")
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                body = await request.content.read(self.settings.max_offer + 1)
                while body and not request.content.at_eof() and len(body) <= self.settings.max_offer:
                    body += await request.content.read(self.settings.max_offer + 1 - len(body))
        except TimeoutError:
            raise web.HTTPRequestTimeout(text="The offer took too long to come.") from None
        if len(body) > self.settings.max_offer:
            raise OfferError(413, f"The offer is larger than {self.settings.max_offer} bytes.")
        return body

    # -- peers -----------------------------------------------------------------------------------------------

    def _start(self, peer: Peer) -> None:
        async def live() -> None:
            try:
                await peer.run()
            except Exception as error:  # the other senders have nothing to do with it
                self.count("failed", peer.stream)
                self.warn(f"{peer.stream}: {type(error).__name__}: {error}")
            finally:
                self.stream_counters.end(peer.stream)  # also where it failed, or sent nothing that could be decoded
                del self._peers[peer.stream]
                self._server.sessions.close(peer.session)

        self.counters["peers"] += 1
        task = asyncio.create_task(live())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _ice_servers(self) -> "list[RTCIceServer]":
        from aiortc import RTCIceServer

        settings = self.settings
        name, credential = settings.ice_username or None, settings.ice_credential or None
        return [RTCIceServer(urls=url, username=name, credential=credential) for url in settings.ice_servers]

    def _links(self) -> list[str]:
        """The ICE servers that the sender is to use, too (RFC 9725, section 4.6)."""
        settings = self.settings
        key = (
            f'; username="{settings.ice_username}"; credential="{settings.ice_credential}"; credential-type="password"'
        )
        return [f'<{url}>; rel="ice-server"{key if url.startswith("turn") else ""}' for url in settings.ice_servers]
