"""Pages that are open: whose results they get, and what becomes of slow ones."""

import asyncio
import json
import socket
from typing import Any

import aiohttp
import pytest

from emopipe.pipeline.clock import MS
from emopipe.pipeline.testing import data, eos
from emopipe.stages.web.connection import REQUEST_INTERVAL_S, PageConnection
from tests.support.factories import result
from tests.support.pages import Served, first_of, picture, read, read_streams, serve
from tests.support.pictures import decoded, striped
from tests.support.snapshots import snapshot


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


@pytest.mark.slow("real time")
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
            lost = {each.dropped for each in served.stage._pages}
            assert min(lost) == 0
            assert max(lost) > 300
            served.stage.status(snapshot())
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


def test_every_page_of_a_sender_is_told() -> None:
    async def drive(served: Served) -> None:
        session = served.session("mine")
        where = f"?session={session.secret}"
        async with served.watching(where) as one, served.watching(where) as other:
            for page in (one, other):
                await read(page, "streams")
            session.notify("No sound has come for 5 s.")
            for page in (one, other):
                assert (await read(page, "notice"))["text"] == "No sound has come for 5 s."

    serve(drive)


def test_a_mistake_of_ours_is_said_and_its_page_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    async def drive(served: Served) -> None:
        async def broken(self: PageConnection) -> None:
            raise ZeroDivisionError("no page can be had for nothing")

        monkeypatch.setattr(PageConnection, "_send_one", broken)
        async with served.watching() as page:
            assert (await page.receive(20)).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        while not any("ZeroDivisionError: no page" in text for text in served.harness.outputs.warnings):
            await asyncio.sleep(0.01)

    serve(drive)


def test_a_page_that_asks_without_end_is_read_slowly() -> None:
    async def drive(served: Served) -> None:
        async with served.watching() as page:
            began = asyncio.get_running_loop().time()
            for number in range(10):
                await page.send_str(json.dumps({"watch": str(number)}))
            connection = next(iter(served.stage._pages))
            while not connection.sees("9"):
                await asyncio.sleep(0.01)
            assert asyncio.get_running_loop().time() - began > 9 * REQUEST_INTERVAL_S

    serve(drive)
