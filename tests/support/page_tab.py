"""The page stage with results of a test's own, and a tab of a real browser that shows it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web
from playwright.async_api import Page as Tab
from playwright.async_api import async_playwright

from emopipe.pipeline.clock import MS
from emopipe.pipeline.message import Hop, Message
from emopipe.pipeline.testing import StageHarness
from emopipe.stages.web.page import Page
from tests.support.browser import CHROMIUM
from tests.support.endpoints import free_endpoint
from tests.support.factories import result
from tests.support.paths import ROOT

ARTEFACTS = Path(os.environ.get("EMOPIPE_ARTEFACTS", ROOT / "runs" / "artefacts"))
TOKEN = "a-token-of-enough-characters"
FAKE = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")


class Served:
    """A page stage with results of the test's own, and a tab that shows it."""

    def __init__(self, harness: StageHarness, stage: Page, tab: Tab, endpoint: str) -> None:
        self.harness = harness
        self.stage = stage
        self.tab = tab
        self.endpoint = endpoint
        self.problems: list[str] = []
        tab.on("pageerror", lambda error: self.problems.append(str(error)))

    async def send(self, *messages: Message, port: str = "emotions") -> None:
        for message in messages:
            await self.harness.send(port, message)

    async def show(self, path: str = "/") -> None:
        await self.tab.goto(self.endpoint + path)

    async def watched(self) -> None:
        """Wait until the tab gets results."""
        async with asyncio.timeout(30):
            while not self.stage._pages:
                await asyncio.sleep(0.02)

    def take_offers(self, status: int, text: str, **headers: str) -> None:
        """Let /whip answer so."""

        async def offered(request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, text=text, headers=headers)

        assert self.stage._server is not None
        self.stage._server.route("POST", "/whip", offered)


@asynccontextmanager
async def opened(flags: tuple[str, ...], options: dict[str, Any], settings: dict[str, Any]) -> AsyncIterator[Served]:
    endpoint = free_endpoint()
    stage = Page(Page.Settings(**{"endpoint": endpoint, **settings}))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *flags])
        try:
            async with StageHarness(stage, mode="live") as harness:
                tab = await (await browser.new_context(**options)).new_page()
                served = Served(harness, stage, tab, endpoint)
                yield served
                assert served.problems == []
        finally:
            await browser.close()


def drive(
    scenario: Callable[[Served], Coroutine[Any, Any, None]],
    *flags: str,
    options: dict[str, Any] | None = None,
    **settings: Any,
) -> None:
    async def run() -> None:
        async with opened(flags, options or {}, settings) as served:
            await scenario(served)

    asyncio.run(run())


def moment(number: int, *, share: float = 0.8, uncertain: bool = False, voice: str | None = "sad") -> Message:
    message = result(number * 40 * MS, {1: "happy" if number < 60 else "fear"}, voice, stream="a", seq=number)
    message.trace = [Hop("capture", 0, 0), Hop("faces", 1 * MS, 6 * MS)]
    message.payload.faces[0].uncertain = uncertain
    message.payload.faces[0].confidence = share
    return message


def artefact(name: str) -> Path:
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    return ARTEFACTS / name
