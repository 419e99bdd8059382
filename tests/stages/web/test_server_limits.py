"""The web server: how much it takes, and how long those who ask for nothing may stay."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from benchmarks.attack.certificate import self_signed
from emopipe.stages.web.server import parse_endpoint
from tests.support.endpoints import free_endpoint
from tests.support.web_server import TOKEN, ask, serving


def test_a_body_may_not_be_larger_than_any_offer() -> None:
    assert ask("POST", "/echo", data=b"x" * 200_000)[0] == 200
    assert ask("POST", "/echo", data=b"x" * 300_000)[0] == 413


def test_a_limited_route_says_when_to_come_again() -> None:
    assert ask("GET", "/rare", times=2)[0] == 200
    status, _, headers = ask("GET", "/rare", times=3)
    assert (status, headers["Retry-After"]) == (429, "10")


async def half_a_request(endpoint: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, port = endpoint.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET / HTTP/1.1\r\nHost: ")
    return reader, writer


def test_a_connection_that_asks_for_nothing_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.stages.web.server.FIRST_REQUEST_TIMEOUT_S", 0.2)

    async def drive() -> None:
        endpoint = free_endpoint()
        async with serving(endpoint=endpoint), asyncio.timeout(20):
            reader, writer = await half_a_request(endpoint)
            assert await reader.read() == b""
            writer.close()

    asyncio.run(drive())


@pytest.mark.slow("real time")
def test_half_requests_keep_nobody_out() -> None:
    """600 of them, of which the server has room for 512: whoever asks for something is answered at once."""

    async def drive() -> float:
        endpoint = free_endpoint()
        async with serving(endpoint=endpoint), asyncio.timeout(60):
            held = [await half_a_request(endpoint) for _ in range(600)]
            began = asyncio.get_running_loop().time()
            for _ in range(10):
                async with aiohttp.ClientSession() as client, client.get(endpoint) as answer:
                    assert answer.status == 200
            took = asyncio.get_running_loop().time() - began
            for _, writer in held:
                writer.close()
        return took

    assert asyncio.run(drive()) < 8  # s; half a request may stay for 10


def test_where_all_are_busy_a_new_connection_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.stages.web.server.MAX_CONNECTIONS", 1)

    async def drive() -> None:
        endpoint = free_endpoint()
        async with serving(endpoint=endpoint), aiohttp.ClientSession() as client, asyncio.timeout(20):
            async with client.get(endpoint) as answer:
                assert answer.status == 200  # and the connection is kept alive
            reader, writer = await half_a_request(endpoint)
            assert await reader.read() == b""
            writer.close()

    asyncio.run(drive())


def test_who_asks_without_the_token_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.stages.web.server.MAX_CONNECTIONS", 3)

    async def drive() -> None:
        endpoint = free_endpoint()
        async with serving(endpoint=endpoint, token=TOKEN), asyncio.timeout(20):
            async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as friend:
                async with friend.get(f"{endpoint}/hello/a") as answer:
                    assert answer.status == 200  # and the connection is kept alive
                for path in ("/", "/hello/a", "/", "/hello/a"):
                    async with aiohttp.ClientSession() as stranger, stranger.get(f"{endpoint}{path}") as answer:
                        assert answer.status in (200, 401)
                        async with friend.get(f"{endpoint}/hello/a") as again:
                            assert again.status == 200

    asyncio.run(drive())


def test_who_asks_without_the_token_and_without_end_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.stages.web.server.STRANGERS_BURST", 20.0)
    monkeypatch.setattr("emopipe.stages.web.server.STRANGERS_RATE_HZ", 0.01)

    async def drive() -> int:
        endpoint = free_endpoint()
        async with serving(endpoint=endpoint, token=TOKEN), asyncio.timeout(20):
            host, port = endpoint.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode() * 1000)
            answers = (await reader.read(-1)).count(b"HTTP/1.1 200")
            writer.close()
            headers = {"Authorization": f"Bearer {TOKEN}"}
            async with aiohttp.ClientSession(headers=headers) as friend, friend.get(f"{endpoint}/hello/a") as answer:
                assert answer.status == 200
        return answers

    assert 0 < asyncio.run(drive()) <= 20


def test_a_body_that_nobody_wants_is_not_read_to_its_end() -> None:
    async def drive() -> int:
        endpoint = free_endpoint()
        async with serving(endpoint=endpoint), asyncio.timeout(60):
            host, port = endpoint.removeprefix("http://").split(":")
            _, writer = await asyncio.open_connection(host, int(port))
            writer.write(f"POST /nothing HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {1 << 40}\r\n\r\n".encode())
            sent = 0
            try:
                while sent < 1 << 28:
                    writer.write(bytes(1 << 16))
                    await writer.drain()
                    sent += 1 << 16
            except ConnectionError:
                pass
            writer.close()
        return sent

    assert asyncio.run(drive()) < 1 << 24  # what fits into buffers, and 256 KiB


def test_a_connection_that_asks_for_nothing_more_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("emopipe.stages.web.server.KEEP_ALIVE_S", 0.2)

    async def drive() -> None:
        endpoint = free_endpoint()
        where = parse_endpoint(endpoint)
        async with serving(endpoint=endpoint), asyncio.timeout(20):
            reader, writer = await asyncio.open_connection(where.host, where.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 200")  # up to the end of the connection
            writer.close()

    asyncio.run(drive())


def test_handshakes_that_never_end_keep_nobody_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They count as connections from the first byte on, and make room like others that ask for nothing."""
    monkeypatch.setattr("emopipe.stages.web.server.MAX_TLS_SILENT", 8)
    certificate, key = self_signed(tmp_path)

    async def drive() -> None:
        endpoint = free_endpoint().replace("http:", "https:")
        async with serving(endpoint=endpoint, certificate=certificate, key=key) as server, asyncio.timeout(60):
            host, port = endpoint.removeprefix("https://").split(":")
            held = [await asyncio.open_connection(host, int(port)) for _ in range(30)]
            reader, _ = held[0]
            assert await reader.read() == b""  # the oldest has gone
            async with aiohttp.ClientSession() as client, client.get(endpoint, ssl=False) as answer:
                assert answer.status == 200
            assert server._listener is not None
            assert len(server._listener.connections) <= 8
            for _, writer in held:
                writer.close()

    asyncio.run(drive())
