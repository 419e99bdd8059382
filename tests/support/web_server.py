"""The web server with a few routes, and how it answers."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

from emopipe.stages.web.rate_limit import FairRateLimit
from emopipe.stages.web.server import WebServer, WebSettings
from tests.support.endpoints import free_endpoint

TOKEN = "a-token-of-enough-characters"


async def hello(request: web.Request, name: str = "") -> web.StreamResponse:
    return web.Response(text=f"hello {name}")


async def echo(request: web.Request) -> web.StreamResponse:
    return web.Response(body=await request.read())


async def fail(request: web.Request) -> web.StreamResponse:
    raise ValueError("our own mistake")


@asynccontextmanager
async def serving(warn: Callable[[str], None] = lambda text: None, **settings: Any) -> AsyncIterator[WebServer]:
    server = await WebServer.join(WebSettings(**{"endpoint": free_endpoint(), **settings}), warn)
    server.route("GET", "/hello/{name}", hello)
    server.route("GET", "/", hello, public=True)
    server.route("POST", "/echo", echo)
    server.route("GET", "/fail", fail)
    server.route("GET", "/rare", hello, limit=FairRateLimit(0.1, 2))
    try:
        yield server
    finally:
        await server.leave()


def ask(method: str, path: str, *, times: int = 1, settings: dict[str, Any] | None = None, **request: Any) -> Any:
    """(status, text, headers) of the last of so many requests."""

    async def drive() -> tuple[int, str, dict[str, str]]:
        endpoint = free_endpoint()
        async with serving(endpoint=endpoint, **(settings or {})), aiohttp.ClientSession() as client:
            for _ in range(times):
                async with client.request(method, endpoint + path, **request) as answer:
                    last = answer.status, await answer.text(), dict(answer.headers)
        return last

    return asyncio.run(drive())
