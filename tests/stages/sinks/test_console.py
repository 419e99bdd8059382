"""What a person sees of the results."""

import asyncio
import io
import os
import pty
import re
import subprocess
import sys
from itertools import pairwise
from typing import Any

import pytest
from rich.console import Console

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.message import Hop, Message
from emopipe.pipeline.testing import StageHarness, gap, run_stage
from emopipe.stages.sinks.console import Terminal
from emopipe.stages.sinks.view import StreamView, table
from tests.support.factories import result
from tests.support.paths import ROOT

# Draws two results as a table, then waits for a line on standard input.
WATCHED = """
import asyncio
from emopipe.pipeline.testing import StageHarness
from emopipe.stages.sinks.console import Terminal
from tests.support.factories import result

async def watch():
    async with StageHarness(Terminal()) as stage:
        await stage.send("emotions", result(0, {1: "happy", 2: "sad"}, "angry", stream="cam"))
        await stage.clock.advance(200_000_000)
        await stage.send("emotions", result(40_000_000, {1: "surprise"}, stream="cam"))
        await stage.clock.advance(200_000_000)
        await stage.finish()

asyncio.run(watch())
"""


def lines(capsys: pytest.CaptureFixture[str], *messages: Message, **settings: Any) -> list[str]:
    run_stage(Terminal(Terminal.Settings(**settings)), [("emotions", message) for message in messages])
    return capsys.readouterr().out.splitlines()


def picture(view: StreamView, width: int, now: int = 0, **settings: Any) -> str:
    file = io.StringIO()
    console = Console(file=file, width=width, force_terminal=True, color_system="standard", **settings)
    console.print(table([view], now, width=width))
    return file.getvalue()


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


# -- lines ---------------------------------------------------------------------------------------------------


def test_a_line_where_a_label_changes(capsys: pytest.CaptureFixture[str]) -> None:
    assert lines(
        capsys,
        result(0, {1: "happy"}, stream="cam"),
        result(1 * SECOND, {1: "happy"}, stream="cam"),
        result(2 * SECOND, {1: "happy", 2: "sad"}, "angry", stream="cam", forced=True),
        gap(2 * SECOND, SECOND, stream="cam"),
        result(3 * SECOND, stream="cam"),
        result(4 * SECOND, None, "fear", stream="cam"),
    ) == [
        "     0.00 s  cam  face 1: happy 70 %",
        "     2.00 s  cam  face 1 + voice: happy 70 %; face 2 + voice: sad 70 %; voice: angry 70 % (forced)",
        "     3.00 s  cam  no face",
        "     4.00 s  cam  no face; voice: fear 70 %",
        "     4.00 s  cam  ended",
    ]


def test_lines_are_limited_by_running_time_and_the_last_state_is_always_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    flicker = [result(n * 40 * MS, {1: ("happy", "sad")[n % 2]}) for n in range(99)]
    printed = lines(capsys, *flicker, result(99 * 40 * MS, {1: "fear"}), interval=0.5)
    times = [float(line.split()[0]) for line in printed[:-2]]
    assert all(later - earlier >= 0.5 for earlier, later in pairwise(times))
    assert 7 <= len(times) <= 8  # 4 s of results
    assert printed[-2:] == ["     3.96 s  test  face 1: fear 70 %", "     3.96 s  test  ended"]


def test_a_change_within_the_limit_is_told_as_soon_as_it_allows(capsys: pytest.CaptureFixture[str]) -> None:
    steady = [result(n * 100 * MS, {1: "happy" if n == 0 else "sad"}) for n in range(10)]
    assert [line.split()[0] for line in lines(capsys, *steady)[:-1]] == ["0.00", "0.30"]


def test_each_stream_has_lines_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    printed = lines(capsys, result(0, {1: "happy"}, stream="a"), result(1, {1: "sad"}, stream="b"))
    assert [line.split()[2:] for line in printed[:2]] == [
        ["a", "face", "1:", "happy", "70", "%"],
        ["b", "face", "1:", "sad", "70", "%"],
    ]


def test_a_reader_that_leaves_does_not_stop_the_run() -> None:
    script = """
import sys
from emopipe.pipeline.testing import run_stage
from emopipe.stages.sinks.console import Terminal
from tests.support.factories import result
sys.stdin.readline()  # by now nobody reads
stage = Terminal()
outputs = run_stage(stage, [("emotions", result(n * 10**9, {1: ("happy", "sad")[n % 2]})) for n in range(5)])
print(outputs.warnings, stage.counters["frames_with_face"], file=sys.stderr)
"""
    with subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        process.stdout = None
        _, told = process.communicate(b"\n", timeout=60)
    assert process.returncode == 0
    assert told.decode() == (
        "['standard output cannot be written (Broken pipe); console shows nothing from here on'] 5\n"
    )


def test_counts(capsys: pytest.CaptureFixture[str]) -> None:
    stage = Terminal()
    run_stage(stage, [("emotions", result(0, {1: "happy"})), ("emotions", result(1)), ("emotions", gap(2, 5))])
    assert stage.counters == {"frames_with_face": 1, "frames_without_face": 1, "forced": 0, "silent_ns": 5}


# -- the table -----------------------------------------------------------------------------------------------


def view(now: int = 0) -> StreamView:
    message = result(12_480 * MS, {3: "happy", 10: "sad"}, "angry", stream="cam", trace=[Hop("camera", 0, 10 * MS)])
    shown = StreamView(message)
    for step in range(1, 31):
        shown.update(message, now + step * 100 * MS)
    return shown


def test_the_table_shows_faces_voice_rate_and_latency() -> None:
    text = plain(picture(view(), 100, now=3 * SECOND)).splitlines()
    assert text[0].startswith("cam  12.48 s, 10.3 results/s, latency p50 ")
    assert [" ".join(line.split()) for line in text[2:]] == [
        "face 3 + voice happy ███████░░░ 70 % angry 5 %, disgust 5 %",
        "face 10 + voice sad ███████░░░ 70 % angry 5 %, disgust 5 %",
        "voice angry ███████░░░ 70 % disgust 5 %, fear 5 %",
    ]


def test_a_stream_that_stands_still_is_seen_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert plain(picture(view(), 100, now=20 * SECOND)).splitlines()[0].strip() == "cam  12.48 s, nothing new"


@pytest.mark.parametrize("width", [24, 30, 40, 60, 76, 200])
def test_no_line_is_wider_than_the_terminal_and_labels_stay_readable(width: int) -> None:
    text = plain(picture(view(), width))
    assert max(map(len, text.splitlines())) <= width
    assert "happy" in text
    assert "voice" in text


def test_no_color_is_heeded() -> None:
    coloured = re.compile(r"\x1b\[[0-9;]*3[1-7]")
    assert coloured.search(picture(view(), 100))
    assert not coloured.search(picture(view(), 100, no_color=True))


def test_a_terminal_of_ascii_alone() -> None:
    file = io.StringIO()
    Console(file=file, width=100).print(table([view()], 0, width=100, ascii_only=True))
    assert file.getvalue().isascii()
    assert "#######..." in file.getvalue()


def test_the_table_follows_the_results(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stdout", screen)

    async def watch() -> None:
        async with StageHarness(Terminal(Terminal.Settings(style="table"))) as stage:
            await stage.send("emotions", result(0, {1: "happy"}))
            await stage.clock.advance(SECOND)
            assert "face 1" in plain(screen.getvalue())
            assert "sad" not in plain(screen.getvalue())
            await stage.send("emotions", result(40 * MS, {1: "sad"}))
            await stage.clock.advance(SECOND)
            assert "sad" in plain(screen.getvalue())
            await stage.send("emotions", result(80 * MS, {1: "fear"}))
            await stage.finish()

    asyncio.run(watch())
    heading, _, row = plain(screen.getvalue()).splitlines()[-3:]
    assert heading.strip() == "test  0.08 s, ended"
    assert "fear" in row  # the last state is drawn even where no time has passed


def test_an_ended_stream_makes_room_for_the_next() -> None:
    async def watch() -> None:
        async with StageHarness(stage := Terminal(Terminal.Settings(style="lines"))) as harness:
            for number in range(3):
                await harness.send("emotions", result(0, {1: "happy"}, stream=f"call-{number}"))
                await stage.flush(f"call-{number}")
                assert list(stage._views) == [f"call-{number}"]

    asyncio.run(watch())


@pytest.mark.parametrize(("environment", "drawn"), [({"TERM": "xterm"}, True), ({"TERM": "dumb"}, False)])
def test_on_a_real_terminal(environment: dict[str, str], drawn: bool) -> None:
    ours, theirs = pty.openpty()
    inherited = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-c", WATCHED], cwd=ROOT, stdout=theirs, env=inherited | environment | {"COLUMNS": "90"}
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            seen += (part := os.read(ours, 4096))
        except OSError:  # the other end is closed
            break
        if not part:
            break
    os.close(ours)
    assert process.wait(60) == 0
    text = seen.decode()
    assert ("█" in text) == drawn
    assert "surprise" in text
    assert "ended" in text
    if drawn:
        assert text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")  # the cursor is there again
        assert "p50" in text


# -- uncertainty ---------------------------------------------------------------------------------------------


def test_an_uncertain_label_is_marked_and_a_change_of_that_gives_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    sure, unsure = result(0, {1: "happy"}), result(SECOND, {1: "happy"})
    unsure.payload.faces[0].uncertain = True
    shown = lines(capsys, sure, unsure)
    assert shown[0].endswith("face 1: happy 70 %")
    assert shown[1].endswith("face 1: happy 70 %, uncertain")
    view = StreamView(unsure)
    for width, mark in ((80, "uncertain"), (24, "happy?")):
        assert mark in plain(picture(view, width))
        assert mark not in plain(picture(StreamView(sure), width))


def test_a_voice_beside_a_face_may_be_uncertain(capsys: pytest.CaptureFixture[str]) -> None:
    message = result(0, {1: "happy"}, "sad")
    message.payload.voice.uncertain = True
    assert lines(capsys, message)[0].endswith("face 1 + voice: happy 70 %; voice: sad 70 %, uncertain")


def test_a_stream_named_by_a_stranger_moves_no_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    message = result(0, {1: "happy"}, stream="a\x1b[2J [anna]")
    assert lines(capsys, message)[0] == r"     0.00 s  a\x1b[2J [anna]  face 1: happy 70 %"
    assert r"a\x1b[2J [anna]" in plain(picture(StreamView(message), 80))
