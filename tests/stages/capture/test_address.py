"""Addresses of streams: their secrets stay secret, and what is wrong with them is said."""

import errno

import pytest

from emopipe.stages.capture.address import explain, problem, scrub, shown
from emopipe.stages.capture.reader import OpenError

CAMERA = "rtsp://anna:s3cr%65t@camera.local:554/stream?token=abcdef&x=1"


def test_an_address_is_shown_without_its_secrets() -> None:
    assert shown(CAMERA) == "rtsp://***@camera.local:554/stream?…"
    assert shown("http://192.0.2.7/live.m3u8") == "http://192.0.2.7/live.m3u8"
    assert shown("rtsp://[::1") == "the address"


@pytest.mark.parametrize("text", [f"cannot open '{CAMERA}'", "bad password s3cret", "s3cr%65t", "no token abcdef"])
def test_what_others_say_of_it_is_scrubbed(text: str) -> None:
    said = scrub(text, CAMERA)
    assert not any(secret in said for secret in ("s3cr", "abcdef"))


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("", "is empty"),
        ("clip.mp4", "a recording is played by file-capture"),
        ("file:///etc/passwd", "is no address of a stream"),
        ("ftp://host/x", "known are http://"),
        ("rtsp:///x", "names no host"),
        ("rtsp://u:p@host:99999/x", "rtsp://***@host:99999/x is no address: Port out of range 0-65535"),
        ("rtsp://[::1/x", "the address"),
    ],
)
def test_what_is_no_address(uri: str, expected: str) -> None:
    assert expected in problem(uri)


@pytest.mark.parametrize(
    "uri", [CAMERA, "udp://:1234", "http://host/a.m3u8", "srt://host:9000", "rtmps://host/app/key"]
)
def test_what_is_one(uri: str) -> None:
    assert problem(uri) == ""


@pytest.mark.parametrize(
    ("reason", "number", "expected"),
    [
        ("Connection refused", errno.ECONNREFUSED, "nothing listens there; start the camera or server"),
        ("No route to host", errno.EHOSTUNREACH, "cannot be reached"),
        ("Immediate exit requested", 1414092869, "no stream came within 10 s"),
        ("no answer within 10 s", errno.ETIMEDOUT, "no stream came within 10 s"),
        ("Failed to resolve hostname camera.local", errno.EIO, "there is no host of that name"),
        ("Server returned 401 Unauthorized", None, "user or password is wrong or missing"),
        ("Server returned 404 Not Found", None, "has no such stream"),
        ("Protocol not found", None, "built without rtsp"),
        ("Invalid data found when processing input", None, "with a player"),
        ("s3cret went wrong", None, "cannot be opened (*** went wrong)"),
    ],
)
def test_errors_say_what_to_do(reason: str, number: int | None, expected: str) -> None:
    said = explain(CAMERA, OpenError(reason, number), 10.0)
    assert expected in said
    assert said.startswith("rtsp://***@camera.local:554/stream?…")
    assert "s3cr" not in said
