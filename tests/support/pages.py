"""The stage `page`, its server, and what its pages read."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from emopipe.pipeline.message import Message
from emopipe.pipeline.testing import StageHarness
from emopipe.stages.web.page import Page
from emopipe.stages.web.server import Session
from tests.support.endpoints import free_endpoint


class Served:
    """A page stage that is served, and a client."""

    def __init__(self, harness: StageHarness, stage: Page, client: aiohttp.ClientSession, endpoint: str) -> None:
        self.harness = harness
        self.stage = stage
        self.client = client
        self.endpoint = endpoint

    def session(self, stream: str) -> Session:
        assert self.stage._server is not None
        return self.stage._server.sessions.open(stream)

    @asynccontextmanager
    async def watching(self, query: str = "") -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        async with self.client.ws_connect(f"{self.endpoint}/results{query}", max_msg_size=0) as page:
            yield page

    async def send(self, *messages: Message, port: str = "emotions") -> None:
        for message in messages:
            await self.harness.send(port, message)


async def read(page: aiohttp.ClientWebSocketResponse, kind: str) -> dict[str, Any]:
    """The next message of a kind."""
    async with asyncio.timeout(20):
        while True:
            message = await page.receive()
            assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
            if message.type == aiohttp.WSMsgType.TEXT and (said := json.loads(message.data))["type"] == kind:
                return dict(said)


async def picture(page: aiohttp.ClientWebSocketResponse) -> tuple[dict[str, Any], bytes]:
    async with asyncio.timeout(20):
        while True:
            message = await page.receive()
            if message.type == aiohttp.WSMsgType.BINARY:
                length = int.from_bytes(message.data[:4], "big")
                return json.loads(message.data[4 : 4 + length]), message.data[4 + length :]


def serve(drive: Callable[[Served], Coroutine[Any, Any, None]], *, video: bool = False, **settings: Any) -> Page:
    """Run `drive` with a page that is served; returns its stage, which has been closed."""
    endpoint = free_endpoint()
    stage = Page(Page.Settings(**{"endpoint": endpoint, **settings}))

    async def run() -> None:
        connect = ["emotions", "video"] if video else ["emotions"]
        async with StageHarness(stage, mode="live", connect=connect) as harness:
            async with aiohttp.ClientSession() as client:
                await drive(Served(harness, stage, client, endpoint))

    asyncio.run(run())
    return stage


async def first_of(page: aiohttp.ClientWebSocketResponse, *kinds: str) -> dict[str, Any]:
    """The next message of one of these kinds."""
    while True:
        said = json.loads((await page.receive(20)).data)
        if said["type"] in kinds:
            return dict(said)


async def read_streams(served: Served) -> list[str]:
    async with served.client.get(f"{served.endpoint}/streams") as answer:
        return [each["stream"] for each in (await answer.json())["streams"]]
