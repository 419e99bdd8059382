"""The web server: who may ask, how much, and who answers."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from benchmarks.attack.certificate import self_signed
from emopipe.pipeline.errors import EmopipeError
from emopipe.stages.web.rate_limit import FairRateLimit
from emopipe.stages.web.server import WebServer, WebSettings, parse_endpoint
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


# -- routes --------------------------------------------------------------------------------------------------


def test_a_part_of_the_path_in_braces_reaches_the_handler() -> None:
    assert ask("GET", "/hello/ada")[:2] == (200, "hello ada")
    assert ask("GET", "/hello/ada/more")[0] == 404
    assert ask("GET", "/helloXada")[0] == 404


def test_another_method_is_told_which_there_are() -> None:
    status, _, headers = ask("PUT", "/hello/ada")
    assert status == 405
    assert headers["Allow"] == "GET"


def test_every_answer_says_that_it_is_for_this_site_alone() -> None:
    for path in ("/", "/nowhere"):
        headers = ask("GET", path)[2]
        assert headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "Access-Control-Allow-Origin" not in headers


def test_two_stages_share_an_address_until_both_have_left() -> None:
    async def drive() -> None:
        settings = WebSettings(endpoint=free_endpoint())
        first = await WebServer.join(settings)
        second = await WebServer.join(WebSettings(endpoint=settings.endpoint))
        assert first is second
        second.route("GET", "/", hello)
        await first.leave()
        async with aiohttp.ClientSession() as client:
            async with client.get(settings.endpoint) as answer:
                assert answer.status == 200
            await second.leave()
            with pytest.raises(aiohttp.ClientConnectionError):
                await client.get(settings.endpoint)

    asyncio.run(drive())


def test_stages_that_disagree_about_one_address_are_told_so() -> None:
    async def drive() -> None:
        endpoint = free_endpoint()
        async with serving(endpoint=endpoint):
            with pytest.raises(EmopipeError, match=r"token: another stage .* another token"):
                await WebServer.join(WebSettings(endpoint=endpoint, token=TOKEN))

    asyncio.run(drive())


def test_two_stages_cannot_answer_the_same() -> None:
    async def drive() -> None:
        async with serving() as server:
            with pytest.raises(EmopipeError, match=r"two stages would answer POST /echo .* another endpoint"):
                server.route("POST", "/echo", hello)

    asyncio.run(drive())


def test_an_address_in_use_is_an_error_with_a_remedy() -> None:
    with socket.socket() as owner:
        owner.bind(("127.0.0.1", 0))
        owner.listen()
        settings = WebSettings(endpoint=f"http://127.0.0.1:{owner.getsockname()[1]}")
        with pytest.raises(EmopipeError, match="is in use; stop the program that has bound it"):
            asyncio.run(WebServer.join(settings))


def test_an_address_of_another_machine_cannot_be_served() -> None:
    with pytest.raises(EmopipeError, match=r"203\.0\.113\.1:8080 cannot be bound"):
        asyncio.run(WebServer.join(WebSettings(endpoint="http://203.0.113.1:8080", token=TOKEN)))


def test_a_handler_that_fails_is_warned_of_once_and_the_others_go_on() -> None:
    warnings: list[str] = []

    async def drive() -> None:
        endpoint = free_endpoint()
        async with serving(warnings.append, endpoint=endpoint), aiohttp.ClientSession() as client:
            for path, status in (("/fail", 500), ("/fail", 500), ("/", 200)):
                async with client.get(endpoint + path) as answer:
                    assert answer.status == status
                    assert "mistake" not in await answer.text()

    asyncio.run(drive())
    assert warnings == ["GET /fail: ValueError: our own mistake"]


# -- who may ask ---------------------------------------------------------------------------------------------


def test_without_the_token_only_what_is_public_is_answered() -> None:
    settings = {"token": TOKEN}
    assert ask("GET", "/", settings=settings)[0] == 200
    status, text, headers = ask("GET", "/hello/a", settings=settings)
    assert (status, headers["WWW-Authenticate"]) == (401, 'Bearer realm="emopipe"')
    assert "asks for a token" in text
    wrong = {"Authorization": "Bearer wrong"}
    assert "token is wrong" in ask("GET", "/hello/a", settings=settings, headers=wrong)[1]


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
def test_the_token_comes_in_the_header(scheme: str) -> None:
    assert ask("GET", "/hello/a", settings={"token": TOKEN}, headers={"Authorization": f"{scheme} {TOKEN}"})[0] == 200


def test_what_cannot_carry_the_header_may_have_the_token_in_its_address() -> None:
    assert ask("GET", f"/hello/a?token={TOKEN}", settings={"token": TOKEN})[0] == 200
    assert ask("POST", f"/echo?token={TOKEN}", settings={"token": TOKEN})[0] == 401


def test_the_token_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMOPIPE_TOKEN", TOKEN)
    assert ask("GET", "/hello/a")[0] == 401
    assert ask("GET", "/hello/a", headers={"Authorization": f"Bearer {TOKEN}"})[0] == 200


@pytest.mark.parametrize("host", ["localhost", "localhost:9999", "127.0.0.1:80", "[::1]:80", "emopipe.localhost"])
def test_a_tunnel_may_give_this_machine_another_port(host: str) -> None:
    assert ask("GET", "/", headers={"Host": host})[0] == 200


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "192.0.2.7:8080", "", "["])
def test_a_foreign_name_that_points_here_is_refused(host: str) -> None:
    assert ask("GET", "/", headers={"Host": host})[0] == 403


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://localhost:1", 200),
        ("https://localhost:1", 200),
        ("http://evil.example", 403),
        ("null", 403),
        ("http://[", 403),
    ],
)
def test_only_our_own_pages_may_ask(origin: str, status: int) -> None:
    assert ask("GET", "/", headers={"Host": "localhost:1", "Origin": origin})[0] == status


# -- how much ------------------------------------------------------------------------------------------------


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


# -- settings ------------------------------------------------------------------------------------------------


def test_https_needs_a_certificate_and_its_key(tmp_path: Path) -> None:
    secure = "https://127.0.0.1:8443"
    assert [key for key, _ in WebSettings(endpoint=secure).check()] == ["certificate", "key"]
    broken = tmp_path / "broken.pem"
    broken.write_text("no PEM")
    ((key, text),) = WebSettings(endpoint=secure, certificate=str(broken), key=str(broken)).check()
    assert key == "certificate"
    assert "two PEM files" in text
    ((_, text),) = WebSettings(endpoint=secure, certificate=str(broken), key=str(tmp_path / "none")).check()
    assert "no such file" in text
    ((_, text),) = WebSettings(certificate=str(broken), key=str(broken)).check()
    assert "expected https://" in text


def test_a_page_is_served_encrypted(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)

    async def drive() -> None:
        endpoint = free_endpoint().replace("http:", "https:")
        async with serving(endpoint=endpoint, certificate=certificate, key=key), aiohttp.ClientSession() as client:
            async with client.get(endpoint, ssl=False) as answer:
                assert answer.status == 200

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
