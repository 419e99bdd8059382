"""The web server: who may ask, and who answers."""

import asyncio
import socket
from pathlib import Path

import aiohttp
import pytest

from benchmarks.attack.certificate import self_signed
from emopipe.pipeline.errors import EmopipeError
from emopipe.stages.web.server import WebServer, WebSettings
from tests.support.endpoints import free_endpoint
from tests.support.web_server import TOKEN, ask, hello, serving

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
