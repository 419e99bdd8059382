"""The page in a real browser: a call over WebRTC, and every state of the page with made-up results."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from playwright.async_api import async_playwright, expect

from emopipe.pipeline.clock import MS
from emopipe.pipeline.testing import data, eos
from emopipe.stages.web.history import MAX_ENDED_STREAMS
from tests.support.browser import CHROMIUM, in_own_network
from tests.support.endpoints import free_endpoint
from tests.support.factories import result
from tests.support.page_tab import ARTEFACTS, Served, artefact, drive, moment
from tests.support.paths import ROOT
from tests.support.pictures import striped

pytestmark = [
    pytest.mark.slow("drives a browser"),
    pytest.mark.skipif(CHROMIUM is None, reason="needs a browser: install chromium"),
]


# -- a call --------------------------------------------------------------------------------------------------


def replayed(clip: Path, out: Path) -> tuple[Counter[str], Counter[str]]:
    """How often a replay says which emotion of the faces, and which is the voice's likeliest."""
    subprocess.run([sys.executable, "-m", "emopipe", "replay", str(clip), "--out", str(out)], check=True, timeout=200)
    results = [json.loads(line) for line in out.read_text().splitlines()]
    voices = [result["voice"]["probabilities"] for result in results if result["voice"]]
    return Counter(face["emotion"] for result in results for face in result["faces"]), Counter(
        max(each, key=each.__getitem__) for each in voices
    )


@pytest.mark.timeout(600)
def test_a_call_shows_what_face_and_voice_express_on_the_page_and_to_subscribers(
    shared_media: Path, tmp_path: Path
) -> None:
    """Chromium sends a recording over WebRTC; a replay of it says the same."""
    clip = shared_media / "ravdess" / "Actor_01" / "01-01-08-02-02-02-01.mp4"
    ARTEFACTS.mkdir(parents=True, exist_ok=True)
    picture = ARTEFACTS / "call.png"
    picture.unlink(missing_ok=True)
    done = in_own_network([sys.executable, "-m", "tests.support.browser", str(clip), str(picture)], timeout=500)
    assert done.returncode == 0, done.stderr
    outcome = json.loads(done.stdout)
    print(json.dumps(outcome, indent=2))
    assert outcome["state"] == "Live"
    assert outcome["streams"][0] == "webrtc/peer-1"
    assert outcome["left_s"] < 10
    told_faces, told_voices = replayed(clip, tmp_path / "replayed.jsonl")
    assert told_faces
    assert told_voices
    for seen in (outcome["page"], outcome["subscriber"]):
        faces, voices = seen["faces"], seen["voices"]
        assert sum(faces.get(label, 0) for label in told_faces) > 0.7 * sum(faces.values())
        assert sum(voices.get(label, 0) for label in told_voices) > 0.7 * sum(voices.values())
    assert outcome["latency"].endswith("ms")
    assert outcome["announced"].startswith("face 0")
    assert outcome["after"] == "Stopped: nothing is sent"
    assert outcome["at_the_end"].startswith("The server has stopped.")
    assert outcome["problems"] == []
    assert outcome["code"] == 0, outcome["run"]
    assert picture.stat().st_size > 20_000


def test_a_recording_is_watched_while_it_is_replayed(shared_media: Path, tmp_path: Path) -> None:
    clip = shared_media / "ravdess" / "Actor_01" / "01-01-01-01-01-01-01.mp4"
    endpoint = free_endpoint()
    command = [
        "replay",
        str(clip),
        "--page",
        "--out",
        str(tmp_path / "x.jsonl"),
        "--set",
        f"stages.page.endpoint={endpoint}",
    ]

    async def watch() -> tuple[int, str]:
        run = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "emopipe", *command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            tab = await browser.new_page()
            assert run.stderr is not None
            told = (await run.stderr.readline()).decode()
            assert told.strip() == f"emopipe: page: open {endpoint} to begin"
            await tab.goto(endpoint)
            await expect(tab.locator("#now")).to_contain_text("face 0", timeout=90_000)
            await expect(tab.locator("#state")).to_have_text(f"Ended: {clip.stem}", timeout=60_000)
            await tab.screenshot(path=str(artefact("replay.png")), full_page=True)
            shown = "() => document.querySelector('#frames').getContext('2d').getImageData(5, 5, 1, 1).data.join()"
            assert await tab.evaluate(shown) == "255,255,255,255"  # the studio's white
            await browser.close()
        _, rest = await run.communicate()
        assert run.returncode is not None
        return run.returncode, rest.decode()

    code, account = asyncio.run(watch())
    assert code == 0, account
    assert "dropped" not in account
    assert len((tmp_path / "x.jsonl").read_text().splitlines()) > 90


# -- made-up results -----------------------------------------------------------------------------------------


def test_an_observer_sees_pictures_results_uncertainty_and_the_end() -> None:
    async def scenario(served: Served) -> None:
        tab = served.tab
        await served.show()
        await served.watched()
        for number in range(100):
            await served.send(moment(number, share=0.44 if number > 80 else 0.8, uncertain=number > 80))
        async with asyncio.timeout(30):
            while not any(watcher.sees("a") for watcher in served.stage._pages):
                await asyncio.sleep(0.02)
        await served.send(data(striped(), 99 * 40 * MS, stream="a"), port="video")
        row = tab.locator("#now tr").first
        await expect(row).to_contain_text("face 1")
        await expect(row).to_contain_text("fear")
        await expect(row).to_contain_text("uncertain")
        await expect(row).to_contain_text("44 %")
        await expect(tab.locator("#now tr").nth(1)).to_contain_text("voice")
        await expect(tab.locator("#state")).to_have_text("Watching: a")
        # The picture is drawn in its colours, and what lies over it is where the box is.
        pixel = "() => [...document.querySelector('#frames').getContext('2d').getImageData(60, 300, 1, 1).data]"
        async with asyncio.timeout(30):
            while (colour := await tab.evaluate(pixel)) == [0, 0, 0, 0]:
                await asyncio.sleep(0.05)
        assert colour[0] > 200
        assert max(colour[1:3]) < 50
        await tab.screenshot(path=str(artefact("observer.png")), full_page=True)
        await served.send(eos("a"))
        await served.send(eos("a"), port="video")
        await expect(tab.locator("#state")).to_have_text("Ended: a")

    drive(scenario, options={"viewport": {"width": 1200, "height": 900}})


def test_labels_that_are_no_emotions_get_colours_of_their_own() -> None:
    async def scenario(served: Served) -> None:
        await served.show()
        await served.watched()
        message = moment(1)
        (person,) = message.payload.faces
        person.emotion, person.confidence = "bored", 0.7
        person.probabilities = person.face.probabilities = {"bored": 0.7, "wide awake": 0.3}
        await served.send(message)
        await expect(served.tab.locator("#now tr").first).to_contain_text("bored")
        await expect(served.tab.locator("#mix li")).to_have_count(2)
        await expect(served.tab.locator("#legend")).to_contain_text("wide awake")
        colours = "() => [...document.querySelectorAll('#legend .swatch')].map((each) => each.style.cssText)"
        found = await served.tab.evaluate(colours)
        assert len(set(found)) == len(found)

    drive(scenario)


def test_a_server_that_starts_to_take_cameras_offers_that() -> None:
    async def scenario(served: Served) -> None:
        await served.show()
        await expect(served.tab.get_by_role("heading", name="Time line")).to_be_visible()
        served.take_offers(503, "Full.")
        await expect(served.tab.get_by_role("button", name="Start camera and microphone")).to_be_visible(timeout=20_000)

    drive(scenario)


def test_several_streams_are_chosen_from() -> None:
    async def scenario(served: Served) -> None:
        tab = served.tab
        await served.show()
        await served.watched()
        await served.send(result(0, {1: "happy"}, stream="ada"), result(0, {7: "angry"}, stream="<b>grace</b>"))
        buttons = tab.locator("#streams button")
        await expect(buttons).to_have_text(["ada", "<b>grace</b>"])
        await expect(tab.locator("#now")).to_contain_text("face 1")
        await buttons.nth(1).click()
        await expect(buttons.nth(1)).to_have_attribute("aria-pressed", "true")
        await expect(tab.locator("#now")).to_contain_text("face 7")
        async with asyncio.timeout(30):
            while not any(watcher.sees("<b>grace</b>") for watcher in served.stage._pages):
                await asyncio.sleep(0.02)

    drive(scenario)


def test_streams_that_ended_long_ago_leave_the_page() -> None:
    async def scenario(served: Served) -> None:
        await served.show()
        await served.watched()
        for number in range(MAX_ENDED_STREAMS + 4):
            await served.send(result(0, {1: "happy"}, stream=f"peer-{number}"), eos(f"peer-{number}"))
            await served.send(eos(f"peer-{number}"), port="video")
        await served.send(result(0, {1: "happy"}, stream="last"))
        buttons = served.tab.locator("#streams button")
        await expect(buttons.last).to_have_text("last")
        await expect(buttons).to_have_count(MAX_ENDED_STREAMS + 1)

    drive(scenario)


RECORD_WHAT_IS_DRAWN = """
window.drawn = {};
const fill = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, ...place) {
  if (/[0-9] %/.test(text)) window.drawn[this.canvas.id] = [...(window.drawn[this.canvas.id] ?? []).slice(-1), text];
  return fill.call(this, text, ...place);
};
"""


@pytest.mark.parametrize("pictures", [True, False])
def test_one_instant_is_said_once_in_the_picture_the_table_and_the_time_line(pictures: bool) -> None:
    """However fast results come, and however far the picture lies behind them: the same figures everywhere."""

    async def scenario(served: Served) -> None:
        tab = served.tab
        await tab.add_init_script(RECORD_WHAT_IS_DRAWN)
        await served.show()
        await served.watched()
        found = "() => [...Object.values(window.drawn), document.querySelector('#now .sure')?.innerText].map(String)"
        seen = set()
        for number in range(60):
            share = 0.31 + 0.01 * number
            await served.send(moment(number, share=share, voice=None))
            if pictures:
                await served.send(data(striped(), max(0, number - 3) * 40 * MS, stream="a"), port="video")
            await tab.wait_for_timeout(40)
            figures = [re.findall(r"(\d+) %", text) for text in await tab.evaluate(found)]
            if len(figures) == 3:
                shown = {each[-1] for each in figures}
                assert len(shown) == 1, figures
                seen |= shown
        assert len(seen) > 3

    drive(scenario)


def test_a_moment_is_looked_at_with_the_keyboard_alone() -> None:
    async def scenario(served: Served) -> None:
        tab = served.tab
        await served.show()
        await served.watched()
        for number in range(100):
            await served.send(moment(number))
        line = tab.get_by_role("slider", name="Moment to look at")
        await expect(tab.locator("#now")).to_contain_text("fear")
        await line.focus()
        await tab.keyboard.press("Home")
        for _ in range(3):
            await tab.keyboard.press("ArrowRight")
        await expect(line).to_have_attribute("aria-valuetext", "0:00.4: face 1 + voice: happy 80 %; voice: sad 70 %")
        await expect(tab.locator("#now-title")).to_have_text("At 0:00.4")
        await expect(tab.locator("#now")).to_contain_text("happy")
        await expect(tab.locator("#pause")).to_have_attribute("aria-pressed", "true")
        await tab.keyboard.press("Escape")
        await expect(tab.locator("#now-title")).to_have_text("Now")
        await expect(line).to_have_attribute("aria-valuetext", "now")

    drive(scenario)


def test_changes_are_said_aloud() -> None:
    async def scenario(served: Served) -> None:
        await served.show()
        await served.watched()
        said = served.tab.locator("#said")
        await served.send(moment(0, voice=None))
        await expect(said).to_have_text("face 1: happy 80 %")
        await expect(said).to_have_attribute("aria-live", "polite")
        await served.send(*(moment(number, voice=None) for number in range(55, 70)))
        await served.tab.wait_for_timeout(500)
        assert await said.inner_text() == "face 1: happy 80 %"  # not before three seconds have passed

    drive(scenario)


# -- the page's own modules ----------------------------------------------------------------------------------


def test_what_the_page_computes() -> None:
    node = shutil.which("node")
    if node is None:
        pytest.skip("needs Node")
    command = [node, "--test", "tests/end_to_end/node/page.test.mjs"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
