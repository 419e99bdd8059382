"""A wall clock that jumps changes nothing: only devices, and what tells a person or stores the date, ask for it."""

import ast
from collections.abc import Iterator

from tests.support.paths import ROOT

ROOMS = ("pipeline", "stages", "models")
CALENDAR = {"time.time", "time.time_ns", "time.gmtime", "time.localtime", "time.strftime", "time.ctime"}
METHODS = {"now", "utcnow", "today"}  # of datetime and date
ALLOWED = {
    "pipeline/access/keys.py",  # when a pair of keys was made
    "stages/report/stage.py",  # when a live run was
    "stages/capture/live.py",  # for devices that stamp by it: asked with each frame
    "stages/messages/recorder.py",  # where a recording's monotonic time lies in the calendar
}


def calendar_calls(source: str) -> Iterator[str]:
    """The calls that read the calendar: what they are called."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Attribute):
            continue
        name = ast.unparse(node)
        if name in CALENDAR or (node.attr in METHODS and name.split(".")[-2] in {"datetime", "date"}):
            yield name


def test_nothing_else_asks_for_the_date() -> None:
    files = [file for room in ROOMS for file in sorted((ROOT / room).rglob("*.py"))]
    found = {str(file.relative_to(ROOT)) for file in files if list(calendar_calls(file.read_text()))}
    assert found == ALLOWED


def test_such_a_call_would_be_found() -> None:
    for call in ("time.time()", "time.time_ns()", "datetime.now(UTC)", "datetime.datetime.utcnow()", "date.today()"):
        assert list(calendar_calls(call)), call
    assert not list(calendar_calls("time.monotonic_ns() + host.clock.now() + time.process_time()"))
