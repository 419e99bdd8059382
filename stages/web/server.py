"""The web server that the stages of one process share: who may ask, how much, and who answers.

    server = await WebServer.join(self.settings)               # in setup
    server.route("GET", "/", self._page, public=True)          # async (aiohttp.web.Request) -> StreamResponse
    server.route("DELETE", "/whip/{secret}", self._delete)     # async (request, secret) -> StreamResponse
    await server.leave()                                       # in close

A part of a path in braces matches one segment, and the handler gets it as an argument of that name. What a handler
raises as `aiohttp.web.HTTPException` is the answer; its `text` is for the person who asked.
"""

import asyncio
import contextlib
import hmac
import re
import ssl
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ClassVar, NamedTuple
from urllib.parse import urlsplit

from emopipe.pipeline.access.addresses import is_loopback
from emopipe.pipeline.access.listener import RATE_HZ, Connection, Listener, bind_tcp
from emopipe.pipeline.errors import EmopipeError
from emopipe.stages.web.callers import Caller
from emopipe.stages.web.rate_limit import FairRateLimit
from emopipe.stages.web.sessions import Session, Sessions
from emopipe.stages.web.settings import (
    Address,
    WebSettings,
    parse_endpoint,
    ssl_context,
    token,
)

if TYPE_CHECKING:  # importing aiohttp takes 0.3 s, which a check of a graph need not spend
    from aiohttp import web
    from aiohttp.web_protocol import RequestHandler

__all__ = ["FairRateLimit", "Session", "Sessions", "WebServer", "WebSettings", "parse_endpoint"]

Handler = Callable[..., Awaitable["web.StreamResponse"]]

MAX_CONNECTIONS = 512  # of more, the oldest of those goes that have not asked for anything, or without the token
STRANGERS_RATE_HZ = 100.0  # requests without the token, where one is needed; a visitor's first page takes some ten
STRANGERS_BURST = 200.0
MAX_BODY_BYTES = 1 << 18  # bytes; an offer of a browser has some 5,000
MAX_TLS_SILENT = 128  # of them where each that has asked for nothing takes 0.25 MB
TLS_RATE_HZ = 50.0  # connections taken a second where each costs a handshake, about 1 ms of the event loop's time
FIRST_REQUEST_TIMEOUT_S = 10.0  # s that such a connection may stay
KEEP_ALIVE_S = 30.0  # s that a connection may stay after an answer: there are only so many, and anybody can open them
DISCARD_TIMEOUT_S = 1.0  # s for the rest of the body of a request that is refused
SHUTDOWN_TIMEOUT_S = 0.3  # s that handlers have to end; less than a worker has to close its stages

# Nothing of ours is for other sites, and a page names what it may load by itself.
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # the address may hold the token
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}


class _Route(NamedTuple):
    method: str
    pattern: re.Pattern[str]
    handler: Handler
    public: bool
    limit: FairRateLimit | None


class WebServer:
    """One for each address in a process; made by `join`.

    It refuses whoever lacks the token (401), asks by a foreign name (403: DNS rebinding) or from another site's page
    (403), sends too much (413) or comes too often (429). No answer carries CORS headers.
    """

    _servers: ClassVar[dict[tuple[str, int], "WebServer"]] = {}

    def __init__(self, settings: WebSettings, warn: Callable[[str], None]) -> None:
        self.sessions = Sessions()
        self._settings = settings
        self._address: Address = parse_endpoint(settings.endpoint)
        self._token = token(settings).encode()
        self._warn = warn
        self._warned: set[str] = set()
        self._routes: list[_Route] = []
        self._members = 0
        self._strangers = FairRateLimit(STRANGERS_RATE_HZ, STRANGERS_BURST)
        self._silent: dict[RequestHandler, Connection] = {}  # that have asked for nothing yet, or without the token
        self._connecting: set[asyncio.Task[None]] = set()
        self._ssl: ssl.SSLContext | None = None
        self._runner: web.AppRunner
        self._listener: Listener | None = None

    @classmethod
    async def join(cls, settings: WebSettings, warn: Callable[[str], None] = lambda text: None) -> "WebServer":
        """The server at `settings.endpoint`, started if this is its first stage. `warn` hears of handlers that failed.

        Raises:
            EmopipeError: the settings are wrong, the address cannot be bound, or another stage of this process serves
                it with another token or certificate.
        """
        if problems := settings.check():
            raise EmopipeError("; ".join(f"{key}: {text}" for key, text in problems))
        where = parse_endpoint(settings.endpoint)
        server = cls._servers.get((where.host, where.port))
        if server is None:
            server = cls(settings, warn)
            await server._start()
            cls._servers[where.host, where.port] = server
        for key in WebSettings.__struct_fields__:
            if getattr(settings, key) != getattr(server._settings, key):
                raise EmopipeError(
                    f"{key}: another stage of this process serves {settings.endpoint} with another {key}; "
                    "give both the same, or different addresses"
                )
        server._members += 1
        return server

    async def leave(self) -> None:
        """Stop serving, if this was the last of its stages."""
        self._members -= 1
        if self._members > 0:
            return
        self._servers.pop((self._address.host, self._address.port), None)
        if self._listener is not None:
            self._listener.close()
            for connection in self._silent.values():
                connection.shut()
            if self._connecting:
                await asyncio.wait(self._connecting)
            self._listener = None
            await self._runner.cleanup()

    def route(
        self, method: str, path: str, handler: Handler, *, public: bool = False, limit: FairRateLimit | None = None
    ) -> None:
        """Let `handler` answer `method` on `path`.

        Args:
            public: no token is asked for. For what tells nothing and does nothing: a page, its script and style.
            limit: requests beyond it are answered 429 before the handler hears of them.

        Raises:
            EmopipeError: another stage answers that already.
        """
        if self.serves(method, path):
            remedy = "give one of them another endpoint"
            raise EmopipeError(
                f"endpoint: two stages would answer {method} {path} at {self._settings.endpoint}; {remedy}"
            )
        parts = (rf"(?P<{part[1:-1]}>[^/]+)" if part[:1] == "{" else re.escape(part) for part in path.split("/"))
        self._routes.append(_Route(method, re.compile("/".join(parts)), handler, public, limit))

    def serves(self, method: str, path: str) -> bool:
        """Whether some stage answers `method` on `path`."""
        return any(route.method == method and route.pattern.fullmatch(path) for route in self._routes)

    # -- listening -------------------------------------------------------------------------------------------

    async def _start(self) -> None:
        from aiohttp import web

        self._ssl = ssl_context(self._settings)
        bound = bind_tcp(self._address.host, self._address.port)
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_route("*", "/{path:.*}", self._answer)  # aiohttp's own router takes no routes once it serves
        app.on_response_prepare.append(_add_headers)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            shutdown_timeout=SHUTDOWN_TIMEOUT_S,
            keepalive_timeout=KEEP_ALIVE_S,
            lingering_time=0,  # a body that nobody wanted is not read to its end
            auto_decompress=False,
        )
        await self._runner.setup()
        silent, rate = (MAX_CONNECTIONS, RATE_HZ) if self._ssl is None else (MAX_TLS_SILENT, TLS_RATE_HZ)
        self._listener = Listener(bound, self._serve, most=MAX_CONNECTIONS, most_silent=silent, rate=rate)

    def _serve(self, connection: Connection) -> None:
        """Answer what comes by a connection, once it is encrypted, if it is to be."""
        assert self._runner.server is not None
        for over in [each for each, silent in self._silent.items() if silent.closed]:
            del self._silent[over]
        protocol = self._runner.server()
        self._silent[protocol] = connection
        task = asyncio.create_task(self._connect(protocol, connection))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

        asyncio.get_running_loop().call_later(FIRST_REQUEST_TIMEOUT_S, _shut_if_silent, connection)

    async def _connect(self, protocol: "RequestHandler", connection: Connection) -> None:
        handshake = None if self._ssl is None else FIRST_REQUEST_TIMEOUT_S
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol, connection.socket, ssl=self._ssl, ssl_handshake_timeout=handshake
            )
        except OSError as error:  # it has gone, or what it sent is no TLS: nobody is there to be answered
            error.__traceback__ = None  # or its frames and it would keep each other, and 0.25 MB, until a collection
            connection.socket.close()

    # -- answering -------------------------------------------------------------------------------------------

    async def _answer(self, request: "web.Request") -> "web.StreamResponse":
        from aiohttp import web

        try:
            self._check_origin(request)
            if not self._has_token(request) and not self._strangers.take(Caller.of(request).network):
                request.protocol.force_close()  # a new connection costs them more than it does us
                raise web.HTTPTooManyRequests(text="Too many requests without the token.")
            route, parts = self._find(request)
            if not route.public:
                self._check_token(request)
            if self._has_token(request) and (connection := self._silent.pop(request.protocol, None)) is not None:
                connection.settle()  # who has no token makes room for others, whatever they ask for
            if request.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise web.HTTPUnsupportedMediaType(text="Bodies are taken as they are, not compressed.")
            if route.limit is not None and not route.limit.take(Caller.of(request).network):
                raise web.HTTPTooManyRequests(
                    text="Too many requests; try again in a moment.",
                    headers={"Retry-After": str(route.limit.retry_after)},
                )
            return await route.handler(request, **parts)
        except web.HTTPException:
            await _discard_body(request)
            raise
        except ConnectionError:
            raise
        except Exception as error:  # a mistake of ours must not end the run of everybody else
            text = f"{request.method} {request.path}: {type(error).__name__}: {error}"
            if text not in self._warned and len(self._warned) < 32:
                self._warned.add(text)
                self._warn(text)
            raise web.HTTPInternalServerError(text="Something went wrong on the server.") from error

    def _find(self, request: "web.Request") -> tuple[_Route, dict[str, str]]:
        from aiohttp import web

        allowed = set()
        for route in self._routes:
            if match := route.pattern.fullmatch(request.path):
                if route.method == request.method:
                    return route, match.groupdict()
                allowed.add(route.method)
        if allowed:
            raise web.HTTPMethodNotAllowed(request.method, allowed)
        raise web.HTTPNotFound(text="There is nothing here.")

    def _check_origin(self, request: "web.Request") -> None:
        """Refuse pages of other sites, and of those who let a name of theirs point here (DNS rebinding)."""
        from aiohttp import web

        origin = request.headers.get("Origin")
        try:
            host = urlsplit(f"//{request.host}").hostname or ""
            site = urlsplit(origin).netloc if origin is not None else request.host
        except ValueError:
            raise web.HTTPForbidden(text="The Host or the Origin of this request is no address.") from None
        if self._address.loopback and not (is_loopback(host) or host.endswith(".localhost")):
            raise web.HTTPForbidden(text=f"This server goes by the name localhost, not {host}.")
        if site.lower() != request.host.lower():
            raise web.HTTPForbidden(text="Pages of other sites may not use this server.")

    def _check_token(self, request: "web.Request") -> None:
        from aiohttp import web

        if not self._has_token(request):
            what = "The token is wrong" if self._given_token(request) else "This server asks for a token"
            raise web.HTTPUnauthorized(
                text=f"{what}; ask whoever runs it.", headers={"WWW-Authenticate": 'Bearer realm="emopipe"'}
            )

    def _has_token(self, request: "web.Request") -> bool:
        """Whether a request presents the token, or none is needed."""
        return not self._token or hmac.compare_digest(self._given_token(request), self._token)

    @staticmethod
    def _given_token(request: "web.Request") -> bytes:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            # Neither a WebSocket nor a link can carry the header.
            given = request.query.get("token", "") if request.method == "GET" else ""
        return given.strip().encode(errors="surrogateescape")


def _shut_if_silent(connection: Connection) -> None:
    if connection.silent and not connection.closed:
        connection.shut()


async def _discard_body(request: "web.Request") -> None:
    """Read what is left of a body, but not much: whoever sends more hears a reset, perhaps, and not the answer."""
    left = MAX_BODY_BYTES
    with contextlib.suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(DISCARD_TIMEOUT_S):
            while left > 0 and not request.content.at_eof():
                left -= len(await request.content.read(left))


async def _add_headers(request: "web.Request", response: "web.StreamResponse") -> None:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
