"""Where the server listens and who may use it."""

import pytest

from emopipe.stages.web.server import WebSettings, parse_endpoint

TOKEN = "a-token-of-enough-characters"


@pytest.mark.parametrize(
    ("endpoint", "problem"),
    [
        ("127.0.0.1:8080", "is not an address"),
        ("tcp://127.0.0.1:8080", "is not an address"),
        ("http://:8080", "is not an address"),
        ("http://127.0.0.1", "has no port"),
        ("http://127.0.0.1:0", "has no port"),
        ("http://127.0.0.1:99999", "is not an address"),
        ("http://127.0.0.1:8080/page", "says more than a host and a port"),
        ("http://[::1:8080", "is not an address"),
    ],
)
def test_what_is_no_address_is_said_with_an_example(endpoint: str, problem: str) -> None:
    ((key, text),) = WebSettings(endpoint=endpoint).check()
    assert key == "endpoint"
    assert problem in text
    assert "http://127.0.0.1:8080" in text


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.2", "[::]", "example.org"])
def test_an_address_others_reach_needs_a_token(host: str) -> None:
    ((key, text),) = WebSettings(endpoint=f"http://{host}:8080").check()
    assert key == "token"
    assert "EMOPIPE_TOKEN" in text
    assert not WebSettings(endpoint=f"http://{host}:8080", token=TOKEN).check()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.5.0.1", "localhost", "[::1]"])
def test_loopback_needs_no_token(host: str) -> None:
    assert not WebSettings(endpoint=f"http://{host}:8080").check()


@pytest.mark.parametrize(("bad", "problem"), [("short", "too easily guessed"), ("with spaces in between", "letters")])
def test_a_token_that_protects_nothing_is_refused(bad: str, problem: str) -> None:
    ((key, text),) = WebSettings(token=bad).check()
    assert key == "token"
    assert problem in text


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_endpoints_that_collide_are_spelled_alike(host: str) -> None:
    assert parse_endpoint(f"http://{host}:8080").endpoint == "tcp://127.0.0.1:8080"
