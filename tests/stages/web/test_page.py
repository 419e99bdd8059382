"""The page's stage: what it serves, to whom, and that nobody's browser holds it up."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import pytest

from emopipe.models.labels import FACE
from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.message import Hop, Message
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.report import Report
from emopipe.pipeline.testing import StageHarness, data, eos, gap
from emopipe.stages.palette import EMOTION
from emopipe.stages.types import VideoFrame
from emopipe.stages.web.history import MAX_ENDED_STREAMS, STEP_NS, ResultHistory
from emopipe.stages.web.page import MAX_PAGES_PER_SESSION, Page
from emopipe.stages.web.previews import Previews
from emopipe.stages.web.server import Session
from emopipe.stages.web.status import status
from tests.support.endpoints import free_endpoint
from tests.support.factories import result
from tests.support.pictures import decoded, striped

TOKEN = "a-token-of-enough-characters"


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


def test_a_sender_gets_its_own_stream_alone_and_what_is_said_to_it() -> None:
    async def drive(served: Served) -> None:
        mine, other = served.session("mine"), served.session("other")
        await served.send(result(0, {1: "sad"}, stream="other"), result(0, {2: "happy"}, stream="mine"))
        async with served.watching(f"?session={mine.secret}") as page:
            await served.send(result(40 * MS, {1: "sad"}, stream="other"), result(40 * MS, {2: "happy"}, stream="mine"))
            other.notify("not for you")
            mine.notify("your picture is too large")
            heard: dict[str, dict[str, Any]] = {}
            while not {"streams", "history", "notice", "result"} <= heard.keys():
                said = json.loads((await page.receive(20)).data)
                heard[said["type"]] = said
                assert "other" not in json.dumps(said)
            assert heard["notice"] == {"type": "notice", "text": "your picture is too large", "last": False}
            assert heard["streams"]["streams"] == [{"stream": "mine", "ended": False}]
            assert [each["stream"] for each in heard["history"]["results"]] == ["mine"]
            assert heard["result"]["faces"][0]["id"] == 2
            assert await read_streams(served) == ["other", "mine"]

    serve(drive)


def test_a_page_is_told_which_words_are_the_last() -> None:
    async def drive(served: Served) -> None:
        session = served.session("mine")
        async with served.watching(f"?session={session.secret}") as page:
            session.notify("No sound has come for 5 s.")
            assert (await read(page, "notice"))["last"] is False
            session.notify("The connection was lost.", last=True)
            assert (await read(page, "notice"))["last"] is True

    serve(drive)


def test_who_gets_the_name_of_another_gets_none_of_their_results_nor_they_theirs() -> None:
    async def drive(served: Served) -> None:
        assert served.stage._server is not None
        sessions = served.stage._server.sessions
        first, silent, gone = (served.session("ada") for _ in range(3))
        sessions.close(gone)
        async with (
            served.watching(f"?session={first.secret}") as old,
            served.watching(f"?session={silent.secret}") as idle,
        ):
            await read(old, "streams")
            await read(idle, "streams")
            sessions.close(silent)  # it has sent nothing
            await served.send(result(0, {1: "happy"}, stream="ada"), eos("ada"))
            await read(old, "eos")
            sessions.close(first)
            second = served.session("ada")
            async with (
                served.watching(f"?session={second.secret}") as new,
                served.watching(f"?session={gone.secret}") as late,
            ):
                await read(new, "streams")
                await read(late, "streams")
                await served.send(result(0, {2: "sad"}, stream="ada"))
                assert [each["id"] for each in (await first_of(new, "history", "result"))["faces"]] == [2]
                for each, session in ((old, first), (idle, silent), (late, gone)):
                    session.notify("there", last=True)
                    assert (await first_of(each, "result", "history", "notice"))["type"] == "notice"

    serve(drive)


async def first_of(page: aiohttp.ClientWebSocketResponse, *kinds: str) -> dict[str, Any]:
    """The next message of one of these kinds."""
    while True:
        said = json.loads((await page.receive(20)).data)
        if said["type"] in kinds:
            return dict(said)


async def read_streams(served: Served) -> list[str]:
    async with served.client.get(f"{served.endpoint}/streams") as answer:
        return [each["stream"] for each in (await answer.json())["streams"]]


def test_a_senders_page_that_goes_is_noticed() -> None:
    async def drive(served: Served) -> None:
        session = served.session("mine")
        gone = asyncio.Event()
        session.left.append(gone.set)
        async with served.watching(f"?session={session.secret}") as page:
            await read(page, "streams")
            assert session.pages == 1
        async with asyncio.timeout(20):
            await gone.wait()
        assert session.pages == 0

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


def test_a_page_that_reads_nothing_holds_nobody_up_and_is_told_what_it_lost() -> None:
    async def drive(served: Served) -> None:
        where = served.endpoint.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(where[0], int(where[1]), limit=2**12)
        raw = writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer.write(
            b"GET /results HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert b"101" in await reader.readline()
        async with served.watching() as page:
            await read(page, "streams")
            for number in range(1500):
                await served.send(result(number * 40 * MS, {1: "happy", 2: "sad"}, "angry", seq=number))
                seen = await read(page, "result")
                assert seen["seq"] == number
            lost = {page.dropped for watcher in served.stage._pages}
            assert min(lost) == 0
            assert max(lost) > 300
            served.stage.status({})
            assert (await read(page, "status"))["lost"] == 0
        writer.close()

    stage = serve(drive, history=0)
    assert stage.counters["lost_by_pages"] > 300


def test_a_page_that_takes_nothing_for_long_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.stages.web.connection.SEND_TIMEOUT_S", 0.3)

    async def drive(served: Served) -> None:
        session = served.session("mine")
        reader, writer = await asyncio.open_connection(*served.endpoint.removeprefix("http://").split(":"), limit=2**12)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        writer.write(
            f"GET /results?session={session.secret} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
            "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert b"101" in await reader.readline()
        async with asyncio.timeout(20):
            number = 0
            while served.stage._pages or number == 0:
                await served.send(result(number * 40 * MS, {1: "happy", 2: "sad"}, "angry", seq=number, stream="mine"))
                number += 1
                await asyncio.sleep(0)
        assert session.pages == 0
        writer.close()

    serve(drive, history=0)


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


def test_pictures_come_to_those_alone_who_watch_that_stream() -> None:
    async def drive(served: Served) -> None:
        async with served.watching() as watching, served.watching() as other:
            await read(watching, "streams")
            await read(other, "streams")
            await watching.send_str('{"watch": "a"}')
            await other.send_str("no word of ours")
            async with asyncio.timeout(20):
                while not any(each.sees("a") for each in served.stage._pages):
                    await asyncio.sleep(0.01)
            await served.send(data(striped(), 7 * MS, stream="b"), data(striped(), 40 * MS, stream="a"), port="video")
            header, image = await picture(watching)
            assert header == {"type": "picture", "stream": "a", "pts": 40 * MS}
            assert decoded(image).shape == (360, 640, 3)
            await served.send(result(40 * MS, {1: "sad"}, stream="a"))
            while (said := await other.receive(20)).type == aiohttp.WSMsgType.TEXT:
                if json.loads(said.data)["type"] == "result":
                    break
            assert said.type == aiohttp.WSMsgType.TEXT

    stage = serve(drive, video=True)
    assert stage.counters["pictures"] == 1


def test_a_sender_cannot_watch_another() -> None:
    async def drive(served: Served) -> None:
        session = served.session("mine")
        async with served.watching(f"?session={session.secret}") as page:
            await read(page, "streams")
            await page.send_str('{"watch": "other"}')
            async with asyncio.timeout(20):
                while not any(each._watched == "other" for each in served.stage._pages):
                    await asyncio.sleep(0.01)
            assert not any(each.sees("other") for each in served.stage._pages)

    serve(drive, video=True)


@pytest.mark.parametrize("fps", [25, 30, 60])
def test_so_many_pictures_a_second_are_drawn(fps: int) -> None:
    pictures = Previews(12.0, 64)
    taken = 0
    for number in range(10 * fps):
        pictures.offer(data(striped_message, round(number * SECOND / fps)))
        taken += len(pictures._waiting)
        pictures._waiting.clear()
    assert abs(taken - 120) <= 1


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


striped_message = VideoFrame(luma=np.zeros((2, 2), np.uint8), small=np.zeros((2, 2, 3), np.uint8))


def test_where_drawing_is_slow_the_newest_picture_is_drawn() -> None:
    async def run() -> list[int]:
        pictures = Previews(12.0, 64)
        for number in range(30):
            pictures.offer(data(striped_message, number * 40 * MS))
        return [(await pictures.newest()).pts, len(pictures._waiting)]

    newest, waiting = asyncio.run(run())
    assert newest > 1000 * MS
    assert waiting == 0


# -- the history, the status ------------------------------------------------------------------------------------


def test_streams_that_have_ended_are_forgotten_in_the_end() -> None:
    history = ResultHistory(SECOND)
    for number in range(2000):
        assert history.begin(f"peer-{number}")
        history.add(f"peer-{number}", 0, b"{}", decimate=True)
        history.end(f"peer-{number}")
    assert history.begin("still here")
    assert len(history.streams()) == MAX_ENDED_STREAMS + 1
    assert history.begin("peer-1999")
    assert history.streams()[-2:] == [{"stream": "still here", "ended": False}, {"stream": "peer-1999", "ended": False}]
    assert history.texts("peer-1999") == []


def test_the_past_begins_anew_where_time_jumps_back() -> None:
    history = ResultHistory(10 * SECOND)
    history.begin("a")
    history.add("a", 5 * SECOND, b"1", decimate=True)
    history.add("a", 0, b"2", decimate=True)
    assert history.texts("a") == [b'{"type":"history","results":[2]}']


def report(**values: Any) -> Report:
    return Report(stage="faces", **values)


def test_the_status_says_what_was_dropped_where() -> None:
    counts = LinkCounts(
        sent=10,
        received=7,
        dropped={"oldest": 3},
        streams={"a": LinkCounts(sent=5, received=4, dropped={"oldest": 1}), "b": LinkCounts(dropped={"oldest": 2})},
    )
    reports = {
        "faces": report(
            counters={"skipped": 5, "late": 1},
            streams={"a": {"skipped": 2}},
            links={LinkId("faces", "faces", to, "faces"): counts for to in ("facial", "page")},
        )
    }
    everything = status(reports, None, 0, ("page", "faces"))
    assert everything["drops"] == [{"link": "faces.faces>facial.faces", "reason": "oldest", "count": 3}]
    assert everything["counters"] == {"faces": {"skipped": 5, "late": 1}}
    mine = status(reports, "a", 4, ("page", "faces"))
    assert mine["drops"] == [{"link": "faces.faces>facial.faces", "reason": "oldest", "count": 1}]
    assert mine["counters"] == {"faces": {"skipped": 2}}
    assert mine["lost"] == 4
    nobody = status(reports, "c", 0, ("page", "faces"))
    assert (nobody["drops"], nobody["counters"]) == ([], {})
