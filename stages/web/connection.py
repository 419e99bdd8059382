"""One page that is open: what waits to be sent to it, and what it says."""

import asyncio
import contextlib
import socket
from collections import deque
from typing import TYPE_CHECKING, Annotated

import msgspec

from emopipe.pipeline.message import MAX_STREAM_CHARS
from emopipe.stages.web.server import Session
from emopipe.stages.web.sessions import Notices

if TYPE_CHECKING:  # importing aiohttp takes 0.3 s, which a check of a graph need not spend
    from aiohttp import web

MAX_WAITING_RESULTS = 64  # results that may wait: two seconds' worth
HEARTBEAT_S = 15.0  # s after which a page that says nothing is asked whether it is still there
SEND_TIMEOUT_S = 10.0  # s after which a page that takes nothing is let go
SEND_BUFFER_BYTES = 1 << 16  # in the system's buffers: what has gone there can no longer be dropped
MAX_MESSAGE_BYTES = 1024  # of what a page may say
REQUEST_INTERVAL_S = 0.05  # from one thing that a page says to the next
NO_STREAM = ""  # no stream has this name


class _ViewRequest(msgspec.Struct):
    """What a page says: of which stream it wants to see pictures."""

    watch: Annotated[str, msgspec.Meta(max_length=MAX_STREAM_CHARS)]


class PageConnection:
    """Sends to one WebSocket, newest first where it is slow; whoever puts something never waits.

    Attributes:
        stream: the only stream the page hears of; None: of all; NO_STREAM: of none any more.
        session: of the sender whose page this is; None: an observer's.
        network: the caller's (`Caller.network`).
        dropped: results that were dropped because the page was too slow.
    """

    def __init__(
        self,
        page: "web.WebSocketResponse",
        transport: asyncio.Transport,
        session: Session | None,
        network: str | None = None,
    ) -> None:
        self.session = session
        self.network = network
        self.stream = None if session is None else NO_STREAM if session.closed else session.stream
        self.dropped = 0
        self._page = page
        self._transport = transport
        self._watched: str | None = None
        self._waiting: deque[tuple[bytes, bool]] = deque()  # (text, droppable)
        self._droppable = 0
        self._status = b""
        self._picture = b""
        self._wake_up = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @classmethod
    async def accept(cls, request: "web.Request", session: Session | None, network: str | None) -> "PageConnection":
        """Answer a request for a WebSocket."""
        from aiohttp import web

        page = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MAX_MESSAGE_BYTES, compress=False)
        await page.prepare(request)
        transport = request.transport
        if not isinstance(transport, asyncio.Transport):
            raise ConnectionResetError("the page has gone")
        transport.set_write_buffer_limits(SEND_BUFFER_BYTES)
        if (raw := transport.get_extra_info("socket")) is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
        return cls(page, transport, session, network)

    async def serve(self) -> "web.WebSocketResponse":
        """Send and listen until the page leaves, takes nothing any more, or `close` is called."""
        notices = self.session.open_page() if self.session is not None else None
        work = [self._send()] if notices is None else [self._send(), self._relay(notices)]
        tasks = [asyncio.create_task(each) for each in work]
        for task in tasks:
            task.add_done_callback(self._on_end)
        try:
            await self._receive()
        finally:
            for task in tasks:
                task.cancel()
            ends = await asyncio.gather(*tasks, return_exceptions=True)
            self._idle.set()
            if self.session is not None and notices is not None:
                self.session.close_page(notices)
        for end in ends:
            if isinstance(end, Exception):
                raise end
        return self._page

    def sees(self, stream: str) -> bool:
        """Whether the page wants pictures of `stream`."""
        return self._watched == stream and self.stream in (None, stream)

    @property
    def sender_gone(self) -> bool:
        """Whether the sender whose page this is has gone."""
        return self.session is not None and self.session.closed

    def detach(self, stream: str) -> None:
        """`stream` has ended: if it was the page's own, who gets that name next is somebody else."""
        if self.stream == stream:
            self.stream = NO_STREAM

    def put(self, text: bytes, *, droppable: bool = False) -> None:
        """Send a text once everything before it has gone; of those that may be dropped the newest are kept."""
        self._waiting.append((text, droppable))
        self._droppable += droppable
        if self._droppable > MAX_WAITING_RESULTS:
            del self._waiting[next(at for at, (_, may) in enumerate(self._waiting) if may)]
            self._droppable -= 1
            self.dropped += 1
        if len(self._waiting) > 4 * MAX_WAITING_RESULTS:  # it takes nothing, while streams come and go
            self._transport.abort()
        self._wake()

    def put_status(self, text: bytes) -> None:
        """Send this unless a newer one comes first."""
        self._status = text
        self._wake()

    def put_picture(self, data: bytes) -> None:
        """Send this unless a newer one comes first."""
        self._picture = data
        self._wake()

    async def drained(self) -> None:
        """Wait until everything has been sent."""
        await self._idle.wait()

    async def close(self) -> None:
        """Say goodbye; a page that does not answer is let go."""
        try:
            async with asyncio.timeout(0.2):
                await self._page.close(message=b"the run is over")
        except (TimeoutError, ConnectionError):
            self._transport.abort()

    def _wake(self) -> None:
        self._idle.clear()
        self._wake_up.set()

    async def _send(self) -> None:
        with contextlib.suppress(TimeoutError, ConnectionError):  # it takes nothing any more: it is let go
            while True:
                while self._waiting or self._status or self._picture:
                    async with asyncio.timeout(SEND_TIMEOUT_S):
                        await self._send_one()
                self._idle.set()
                self._wake_up.clear()
                await self._wake_up.wait()

    async def _send_one(self) -> None:
        if self._waiting:
            text, droppable = self._waiting.popleft()
            self._droppable -= droppable
            await self._page.send_str(text.decode())
        elif self._status:
            text, self._status = self._status, b""
            await self._page.send_str(text.decode())
        else:
            data, self._picture = self._picture, b""
            await self._page.send_bytes(data)

    def _on_end(self, task: "asyncio.Task[None]") -> None:
        """Let the page go when what sends to it has ended: it would wait for ever."""
        if not task.cancelled():
            self._transport.abort()

    async def _receive(self) -> None:
        async for request in self._page:
            with contextlib.suppress(msgspec.MsgspecError, TypeError):  # what is no word of ours says nothing to us
                self._watched = msgspec.json.decode(request.data, type=_ViewRequest).watch
            await asyncio.sleep(REQUEST_INTERVAL_S)  # what it says meanwhile waits on its side

    async def _relay(self, notices: Notices) -> None:
        while True:
            for text in await notices.read():
                last = self.session is not None and self.session.final
                self.put(msgspec.json.encode({"type": "notice", "text": text, "last": last}))
