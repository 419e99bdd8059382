"""Stimuli on a page: whose clock is whose, and pages that do not do as they are told."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from emopipe.certificate import screen
from emopipe.certificate.screen import Screen
from emopipe.pipeline.clock import MS
from emopipe.pipeline.errors import EmopipeError
from tests.support.browser import CHROMIUM, chromium
from tests.support.endpoints import free_endpoint
from tests.support.room import page_answer, watch_page

PATIENCE_S = 60.0
WATCH = """() => {  // what the page looks like while it runs, change by change
  window.looks = [];
  new MutationObserver(() => {
    const look = getComputedStyle(document.getElementById("face")).display === "none" ? "dark" : "face";
    if (document.body.className && look !== window.looks.at(-1)) window.looks.push(look);
  }).observe(document.body, { attributes: true });
}"""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stimuli that follow each other at once."""
    monkeypatch.setattr(screen, "pauses", lambda count, seed: [0.5] * count)
    monkeypatch.setattr(screen, "PAUSE_S", 0.0)
    monkeypatch.setattr(screen, "SHOWN_S", 0.5)
    monkeypatch.setattr(screen, "REPORT_S", PATIENCE_S)


@pytest.fixture
def shown(quick: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Screen]:
    pytest.importorskip("skimage", reason="the face is scikit-image's: install emopipe[demo]")
    monkeypatch.setenv("EMOPIPE_TOKEN", "a-token-of-other-servers")  # which the page does not know
    with Screen(3, free_endpoint()) as made:
        made.start()
        made.begin()
        yield made


def problem(made: Screen, answer: Callable[[dict[str, Any]], dict[str, Any] | None]) -> str:
    """What a screen says of a page that answers so."""
    asyncio.run(watch_page(made.address, answer))
    assert made.ended.wait(PATIENCE_S)
    return str(made.problem)


def test_moments_are_by_our_clock_to_half_of_the_way_there_and_back(shown: Screen) -> None:
    told: list[int] = []

    def answer(order: dict[str, Any]) -> dict[str, Any]:
        if "show" in order:
            told.append(time.monotonic_ns())
        return page_answer(order, told)

    asyncio.run(watch_page(shown.address, answer))
    assert shown.ended.wait(PATIENCE_S)
    assert shown.problem is None
    assert len(shown.moments) == 3
    for (light, sound), true in zip(shown.moments, told, strict=True):
        assert abs(light - true) <= shown.error + MS / 100
        assert sound - light == pytest.approx(5 * MS, abs=MS / 100)


def test_a_page_that_is_closed_ends_the_stimuli_with_a_sentence(shown: Screen) -> None:
    told = [0]
    closed = problem(shown, lambda order: page_answer(order, told) if "ping" in order else None)
    assert closed == f"the page {shown.address} was closed before the last stimulus; keep it open"


def test_a_page_that_shows_nothing_is_told_of(shown: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "REPORT_S", 0.1)
    pong = {"type": "pong", "sent": time.monotonic_ns(), "at": 0.0}
    covered = problem(shown, lambda order: pong)
    assert covered == f"the page {shown.address} did not show a stimulus; keep it open, in front and uncovered"


def test_a_page_that_nobody_opens_is_not_waited_for_for_ever(shown: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(screen, "OPEN_S", 0.0)
    assert shown.ended.wait(PATIENCE_S)
    assert str(shown.problem) == f"nobody opened {shown.address} and pressed Begin within 0 s"


def test_an_address_that_is_taken_or_not_this_machines_alone_is_refused_at_once(shown: Screen) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        with Screen(3, f"http://127.0.0.1:{other.getsockname()[1]}") as taken, pytest.raises(EmopipeError) as error:
            taken.start()
    assert error.value.exit_code == 2
    with pytest.raises(EmopipeError, match=r"--screen http://0.0.0.0:8075: others would be shown the page, too"):
        Screen(3, "http://0.0.0.0:8075")
    with pytest.raises(EmopipeError, match="--screen: "):
        Screen(3, "here")


@pytest.mark.slow("drives a browser")
@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: install chromium")
def test_a_browser_shows_a_face_says_a_voice_and_tells_when(shown: Screen) -> None:
    with chromium("--autoplay-policy=user-gesture-required") as browser:
        page = browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text))
        page.goto(shown.address)
        page.evaluate(WATCH)
        before = time.monotonic_ns()
        page.click("#begin")
        page.get_by_text("The stimuli are over.").wait_for(timeout=PATIENCE_S * 1000)
        looks = page.evaluate("window.looks")
    assert shown.ended.wait(PATIENCE_S)
    assert shown.problem is None
    assert errors == []
    assert looks == ["dark", *["face", "dark"] * 3]
    assert len(shown.moments) == 3
    lights = [light for light, _ in shown.moments]
    assert before < lights[0] < lights[1] < lights[2] < time.monotonic_ns()
    for light, sound in shown.moments:
        assert (
            abs(sound - light) < 1000 * MS
        )  # a voice is ordered 50 ms ahead; what it takes to come out is the machine's
