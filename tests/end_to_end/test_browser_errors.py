"""The page in a real browser, where something goes wrong: it says what, and what to do."""

from collections.abc import Coroutine
from typing import Any

import pytest
from playwright.async_api import expect

from tests.support.browser import CHROMIUM
from tests.support.page_tab import FAKE, TOKEN, Served, drive, moment

pytestmark = [
    pytest.mark.slow("drives a browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: install chromium"),
]


def start_and_read(served: Served, what: str, remedy: str) -> Coroutine[Any, Any, None]:
    async def read() -> None:
        await served.show()
        await served.tab.get_by_role("button", name="Start camera and microphone").click()
        alarm = served.tab.get_by_role("alert")
        await expect(alarm).to_contain_text(what)
        await expect(alarm).to_contain_text(remedy)
        await expect(served.tab.get_by_role("button", name="Start camera and microphone")).to_be_enabled()

    return read()


def test_a_browser_without_a_camera_says_so() -> None:
    async def scenario(served: Served) -> None:
        served.take_offers(201, "")
        await start_and_read(served, "There is no such camera or microphone.", "Plug one in")

    drive(scenario, "--use-fake-ui-for-media-stream")


def test_permission_refused_says_what_to_do() -> None:
    async def scenario(served: Served) -> None:
        served.take_offers(201, "")
        await start_and_read(served, "was not allowed to use the camera", "Allow both in the address bar")

    drive(scenario, "--use-fake-device-for-media-stream", "--deny-permission-prompts")


def test_a_camera_in_use_and_an_insecure_page_are_told_apart() -> None:
    async def scenario(served: Served) -> None:
        served.take_offers(201, "")
        failing = (
            "navigator.mediaDevices.getUserMedia = async () => { throw new DOMException('', 'NotReadableError'); }"
        )
        await served.tab.add_init_script(failing)
        await start_and_read(served, "in use by another program", "Close what uses it")
        insecure = await served.tab.context.new_page()
        await insecure.add_init_script("delete Navigator.prototype.mediaDevices")
        await insecure.goto(served.endpoint)
        await expect(insecure.get_by_role("alert")).to_contain_text("only to secure pages")
        await expect(insecure.get_by_role("alert")).to_contain_text("https")

    drive(scenario)


def test_a_full_server_says_so_in_its_own_words() -> None:
    async def scenario(served: Served) -> None:
        served.take_offers(503, "All 8 places are taken; try again later.", **{"Retry-After": "5"})
        await start_and_read(served, "All 8 places are taken", "Try again in 5 s.")

    drive(scenario, *FAKE)


def test_the_token_is_asked_for_and_taken_out_of_the_address() -> None:
    async def scenario(served: Served) -> None:
        tab = served.tab
        await served.show("/?observe")
        await expect(tab.get_by_role("heading", name="This server asks for a token")).to_be_visible()
        field = tab.get_by_label("Token")
        await expect(field).to_be_focused()
        await field.fill("wrong")
        await tab.keyboard.press("Enter")
        await expect(tab.get_by_role("alert")).to_contain_text("The token is wrong")
        await field.fill(TOKEN)
        await tab.keyboard.press("Enter")
        await expect(tab.get_by_role("heading", name="Time line")).to_be_visible()
        other = await tab.context.new_page()
        await other.goto(f"{served.endpoint}/?observe&token={TOKEN}")
        await expect(other.get_by_role("heading", name="Time line")).to_be_visible()
        assert TOKEN not in other.url

    drive(scenario, token=TOKEN)


def test_a_server_that_goes_away_is_noticed() -> None:
    async def scenario(served: Served) -> None:
        await served.show()
        await served.watched()
        await served.send(moment(0))
        await expect(served.tab.locator("#state")).to_have_text("Watching: a")
        for watcher in list(served.stage._pages):
            await watcher.close()
        await expect(served.tab.locator("#state")).to_contain_text("was lost")
        await served.send(moment(1))  # and comes back by itself
        await expect(served.tab.locator("#state")).not_to_contain_text("was lost")

    drive(scenario)
