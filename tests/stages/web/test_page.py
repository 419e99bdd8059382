"""The page's stage: what it serves, to whom, and that nobody's browser holds it up."""

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from emopipe.models.labels import FACE
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.message import Hop, Message
from emopipe.pipeline.report import Interruption
from emopipe.pipeline.testing import StageHarness, data, eos, gap
from emopipe.stages.palette import EMOTION
from emopipe.stages.web.history import STEP_NS
from emopipe.stages.web.page import MAX_PAGES_PER_SESSION, Page
from emopipe.stages.web.previews import Previews
from tests.support.endpoints import free_endpoint
from tests.support.factories import result
from tests.support.pages import Served, read, serve
from tests.support.pictures import striped
from tests.support.snapshots import snapshot

TOKEN = "a-token-of-enough-characters"


# -- what is served ------------------------------------------------------------------------------------------


def test_the_page_loads_nothing_but_its_own_files_and_holds_no_script_itself() -> None:
    async def drive(served: Served) -> None:
        async with served.client.get(served.endpoint) as answer:
            policy = answer.headers["Content-Security-Policy"]
            html = await answer.text()
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=|https?://", html)
        links = re.findall(r'(?:src|href)="(/[^"?]+)"', html)
        assert {"/page.css", "/main.mjs"} <= set(links)
        found = set()
        while links:
            async with served.client.get(served.endpoint + links.pop()) as answer:
                assert answer.status == 200
                found.add(answer.content_type)
                links += [f"/{name}" for name in re.findall(r'from "\./(\w+\.mjs)"', await answer.text())]
        assert found == {"text/javascript", "text/css", "image/svg+xml"}

    serve(drive)


def test_labels_and_colours_are_told_and_not_written_twice() -> None:
    async def drive(served: Served) -> None:
        async with served.client.get(f"{served.endpoint}/about.json") as answer:
            about = await answer.json()
        assert [label["name"] for label in about["labels"]] == list(FACE)
        assert [label["colour"] for label in about["labels"]] == [EMOTION[name] for name in FACE]
        assert about["notice"] == "kept for a week"
        assert (about["senders"], about["token"], about["pictures"]) == (False, False, False)

    serve(drive, notice="kept for a week")
    assets = Path("stages/web/assets")
    for file in assets.iterdir():
        assert not any(colour in file.read_text() for colour in EMOTION.values()), file


def test_the_user_is_told_what_to_open() -> None:
    async def drive(served: Served) -> None:
        assert served.harness.outputs.warnings == [f"open {served.endpoint}"]

    serve(drive)


# -- results -------------------------------------------------------------------------------------------------


def test_an_observer_gets_the_results_of_all_streams_as_the_files_hold_them() -> None:
    async def drive(served: Served) -> None:
        async with served.watching() as page:
            assert (await read(page, "streams"))["streams"] == []
            trace = [Hop("capture", 0, 0)]
            await served.send(result(40 * MS, {1: "happy"}, "sad", stream="a", trace=trace))
            await served.send(result(0, {2: "fear"}, stream="b", trace=trace))
            assert (await read(page, "streams"))["streams"] == [{"stream": "a", "ended": False}]
            first = await read(page, "result")
            assert (first["stream"], first["pts"], first["time"]) == ("a", 40_000_000, 0.04)
            assert first["faces"][0]["emotion"] == "happy"
            assert first["voice"]["weight"] == 0.4
            assert (first["timing"]["capture"], first["timing"]["hops"][-1]["stage"]) == ("capture", "page")
            assert (await read(page, "result"))["stream"] == "b"
            await served.send(gap(80 * MS, 500 * MS, stream="a"))
            assert await read(page, "gap") == {"type": "gap", "stream": "a", "pts": 80_000_000, "duration": 500_000_000}
            await served.send(eos("a"))
            assert await read(page, "eos") == {"type": "eos", "stream": "a"}

    stage = serve(drive)
    assert stage.counters["frames_with_face"] == 2
    assert stage.counters["pages"] == 1


def test_who_watches_is_told_of_a_restart_that_has_cost_results() -> None:
    async def drive(served: Served) -> None:
        session = served.session("a")
        async with served.watching() as page, served.watching(f"?session={session.secret}") as own:
            for epochs in ({"b": 1}, {"a": 1}):
                served.stage.interrupted(Interruption(stages=["faces"], reason="killed", seconds=2, epochs=epochs))
            notice = {"type": "notice", "text": "faces restarted (killed), 2.0 s without.", "last": False}
            assert [await read(page, "notice") for _ in range(2)] == [notice] * 2
            assert await read(own, "notice") == notice
            served.stage.interrupted(Interruption(stages=["fusion"], reason="killed", seconds=2, epochs={"a": 1}))
            assert (await read(own, "notice"))["text"].startswith("fusion")  # of `b` it was not told

    serve(drive)


@pytest.mark.parametrize(("query", "status"), [("?session=guessed", 404), ("", 403)])
def test_nobody_watches_others_without_leave(query: str, status: int) -> None:
    async def drive(served: Served) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with served.watching(query):
                pass
        assert refused.value.status == status

    serve(drive, observers=False)


def test_only_so_many_pages_are_served(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.stages.web.page.MAX_OBSERVERS", 1)

    async def drive(served: Served) -> None:
        async with served.watching() as page:
            await read(page, "streams")
            async with served.client.get(f"{served.endpoint}/results") as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (503, "10")

    serve(drive)


def test_a_session_has_few_pages_and_its_pages_keep_no_observer_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.stages.web.page.MAX_OBSERVERS", 1)

    async def drive(served: Served) -> None:
        query = f"?session={served.session('mine').secret}"
        async with AsyncExitStack() as pages:
            for _ in range(MAX_PAGES_PER_SESSION):
                await read(await pages.enter_async_context(served.watching(query)), "streams")
            async with served.client.get(f"{served.endpoint}/results{query}") as answer:
                assert (answer.status, answer.headers["Retry-After"]) == (429, "10")
            for other in ("", f"?session={served.session('other').secret}"):
                await read(await pages.enter_async_context(served.watching(other)), "streams")

    serve(drive)


def test_results_are_for_those_who_know_the_token() -> None:
    async def drive(served: Served) -> None:
        async with served.client.get(served.endpoint) as answer:
            assert answer.status == 200
        async with served.client.get(f"{served.endpoint}/about.json") as answer:
            assert (await answer.json())["token"] is True
        for path in ("/results", "/streams"):
            async with served.client.get(served.endpoint + path) as answer:
                assert answer.status == 401
        async with served.watching(f"?token={TOKEN}") as page:
            await read(page, "streams")
        assert served.harness.outputs.warnings == [f"open {served.endpoint} (it asks for the token)"]

    serve(drive, token=TOKEN)


def test_who_comes_late_is_told_of_the_time_before() -> None:
    async def drive(served: Served) -> None:
        for number in range(100):
            await served.send(result(number * 40 * MS, {1: "happy"}, stream="a", seq=number))
        await served.send(eos("a"))
        async with served.watching() as page:
            assert (await read(page, "streams"))["streams"] == [{"stream": "a", "ended": True}]
            times = [each["pts"] for each in (await read(page, "history"))["results"]]
        assert times == list(range(times[0], 99 * 40 * MS + 1, STEP_NS))
        assert 99 * 40 * MS - 2 * SECOND <= times[0] <= 99 * 40 * MS - 2 * SECOND + STEP_NS

    serve(drive, history=2.0)


def test_the_end_of_a_run_reaches_the_pages_before_it_stops_serving() -> None:
    async def drive(served: Served) -> None:
        async with served.watching() as page:
            await read(page, "streams")
            await served.send(result(0, {1: "happy"}, stream="a"))
            await served.harness.finish()
            assert (await read(page, "eos"))["stream"] == "a"

    serve(drive)


def test_a_run_can_wait_until_somebody_watches() -> None:
    async def run() -> None:
        endpoint = free_endpoint()
        stage = Page(Page.Settings(endpoint=endpoint, viewers=1))
        harness = StageHarness(stage, connect=["emotions"])
        entering = asyncio.create_task(harness.__aenter__())
        async with aiohttp.ClientSession() as client, asyncio.timeout(20):
            page = None
            while page is None:
                assert not entering.done()
                try:
                    page = await client.ws_connect(f"{endpoint}/results")
                except aiohttp.ClientError:
                    await asyncio.sleep(0.02)
            await entering
            await harness.send("emotions", result(0, {1: "happy"}))
            assert (await read(page, "result"))["pts"] == 0
            await page.close()
        await harness.__aexit__(None, None, None)

    asyncio.run(run())


def test_a_run_does_not_wait_for_ever() -> None:
    with pytest.raises(EmopipeError, match=r"viewers: 0 of 2 pages were opened within 0.05 s; open http://127"):
        serve(lambda served: asyncio.sleep(0), viewers=2, wait=0.05)


# -- pictures ------------------------------------------------------------------------------------------------


def test_a_picture_that_cannot_be_drawn_ends_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Previews, message: Message) -> bytes:
        raise ValueError("cannot be drawn")

    monkeypatch.setattr(Previews, "draw", fail)

    async def drive(served: Served) -> None:
        async with served.watching() as page:
            await read(page, "streams")
            await page.send_str('{"watch": "a"}')
            async with asyncio.timeout(20):
                while not any(each.sees("a") for each in served.stage._pages):
                    await asyncio.sleep(0.01)
                for number in range(1000):
                    await served.send(data(striped(), number * 100 * MS, stream="a"), port="video")

    with pytest.raises(ValueError, match="cannot be drawn"):
        serve(drive, video=True)


# -- metrics -------------------------------------------------------------------------------------------------


def test_prometheus_reads_the_run_from_the_page_once_it_is_known() -> None:
    async def drive(served: Served) -> None:
        address = f"{served.endpoint}/metrics"
        async with served.client.get(address) as answer:
            assert answer.status == 503
        served.stage.status(snapshot(warnings=3))
        async with served.client.get(address) as answer:
            assert "emopipe_run_warnings_total 3.0\n" in await answer.text()
            assert answer.content_type == "text/plain"

    serve(drive)


def test_metrics_ask_for_the_token() -> None:
    async def drive(served: Served) -> None:
        served.stage.status(snapshot())
        async with served.client.get(f"{served.endpoint}/metrics") as answer:
            assert answer.status == 401
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with served.client.get(f"{served.endpoint}/metrics", headers=headers) as answer:
            assert answer.status == 200

    serve(drive, token=TOKEN)
