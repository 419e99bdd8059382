"""The report: one page that holds everything, says what was there, and runs nothing."""

import asyncio
import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.counters import LinkCounts
from emopipe.pipeline.errors import EmopipeError, StageFailed
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.report import Report
from emopipe.pipeline.testing import StageHarness, gap, run_stage
from emopipe.stages.report.stage import HtmlReport
from emopipe.stages.types import VideoFrame
from tests.support.factories import result
from tests.support.films import STEP, picture, told
from tests.support.snapshots import snapshot

VOID = {"meta", "img", "br", "rect", "line", "link"}


class Page(HTMLParser):
    """Reads a page strictly: everything that is opened is closed, in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.open: list[str] = []
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.said.append(data)

    def tags(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.found if tag == name]

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.said).split())


def report(path: Path, **settings: object) -> HtmlReport:
    return HtmlReport(HtmlReport.Settings(path=str(path), **settings), label="report")  # type: ignore[arg-type]


def written(
    path: Path, *send: tuple[str, Message], connect: tuple[str, ...] = ("emotions",), **settings: object
) -> Page:
    run_stage(report(path, **settings), send, connect=list(connect))
    return Page(path.read_text(encoding="utf-8"))


def clip(count: int = 30, stream: str = "test") -> list[tuple[str, Message]]:
    send: list[tuple[str, Message]] = []
    for number in range(count):
        send.append(("video", picture(number, stream=stream)))
        send.append(("emotions", told(number, {0: "happy" if number < 20 else "sad"}, "angry", stream=stream)))
    return send


def test_who_expressed_what_and_when(tmp_path: Path) -> None:
    page = written(tmp_path / "a.html", *clip(), connect=("video", "emotions"), title="An interview")
    assert [attributes["alt"] for attributes in page.tags("img")] == [
        "face 0 at 0:00.0: happy 70 %",
        "face 0 at 0:00.8: sad 70 %",
    ]
    assert "An interview 1 stream · 0:03.0 in all · 1 face" in page.words
    assert "0:00.0 0:00.8 face 0 + voice happy 70 %" in page.words
    assert "0:00.8 0:01.2 face 0 + voice sad 70 %" in page.words
    assert "voice angry 70 %" in page.words
    assert "happy 67 % sad 33 %" in page.words
    assert "Face 0 mostly expresses happy, 67 % of 1.2 s. The voice expresses angry, all of 1.0 s." in page.words
    assert "with the voice" in page.words
    assert "Expressed is not felt" in page.words
    assert re.search(r"Faces: right in \d\d % of \d,\d{3} samples", page.words)


def test_a_page_needs_nothing_else(tmp_path: Path) -> None:
    page = written(tmp_path / "a.html", *clip(), connect=("video", "emotions"))
    assert not page.tags("script")
    assert not page.tags("link")
    for tag, attributes in page.found:
        for name in ("src", "href", "action", "data"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, name)
        assert not any(name.startswith("on") for name in attributes)
    assert not re.search(r"url\((?!#|&quot;#)", page.text)
    policy = next(each["content"] for each in page.tags("meta") if each.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'")


def test_it_can_be_read_without_seeing_it(tmp_path: Path) -> None:
    page = written(tmp_path / "a.html", *clip(), connect=("video", "emotions"))
    assert page.tags("html")[0]["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in page.found if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in pairwise(levels))
    ids = {attributes["id"] for _, attributes in page.found if "id" in attributes}
    for drawing in page.tags("svg"):
        described = (drawing.get("aria-labelledby") or "").split()
        assert drawing.get("aria-hidden") == "true" or (described and ids.issuperset(described))
    assert all(each.get("scope") == "col" for each in page.tags("th"))


def test_names_from_outside_are_only_text(tmp_path: Path) -> None:
    evil = '<script>alert("1")</script>&amp;'
    page = written(tmp_path / "a.html", *clip(3, stream=evil), connect=("video", "emotions"), title=evil, notes=[evil])
    assert not page.tags("script")
    assert page.words.count(evil) >= 3


def test_what_is_uncertain_is_hatched_and_said(tmp_path: Path) -> None:
    message = told(0, {0: "happy"})
    message.payload.faces[0].uncertain = True
    page = written(tmp_path / "a.html", ("emotions", message))
    assert "face 0 happy, uncertain 70 %" in page.words
    assert any(each.get("fill") == "url(#unsure-happy)" for each in page.tags("rect"))


def test_a_stream_without_any_result(tmp_path: Path) -> None:
    page = written(tmp_path / "a.html", ("emotions", gap(0, SECOND, stream="silence")))
    assert "silence" in page.words
    assert "No face and no voice was found here." in page.words


def test_a_voice_alone(tmp_path: Path) -> None:
    page = written(tmp_path / "a.html", ("emotions", result(3 * SECOND, None, "fear", stream="call")))
    assert "0:02.0 0:03.0 voice fear 70 %" in page.words
    assert not page.tags("img")


def test_a_silent_film_says_nothing_of_a_voice(tmp_path: Path) -> None:
    page = written(tmp_path / "a.html", *[("emotions", told(number, {0: "happy"})) for number in range(9)])
    told_of_it = page.words.partition("hatched: uncertain")[2].partition("How far to trust this")[0]
    assert "voice" not in told_of_it
    assert "face alone" not in page.words


def test_a_run_without_any_stream(tmp_path: Path) -> None:
    assert "0 streams" in written(tmp_path / "a.html").words


def test_the_same_run_gives_the_same_bytes_in_any_order(tmp_path: Path) -> None:
    send = clip()
    apart = [pair for pair in send if pair[0] == "video"] + [pair for pair in send if pair[0] == "emotions"]
    back = [pair for pair in send if pair[0] == "emotions"] + [pair for pair in send if pair[0] == "video"]
    for name, order in (("a", send), ("b", apart), ("c", back)):
        written(tmp_path / f"{name}.html", *order, connect=("video", "emotions"))
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "c.html").read_bytes()


def test_pictures_of_any_size_at_any_edge(tmp_path: Path) -> None:
    send: list[tuple[str, Message]] = []
    for number, size in enumerate([(33, 21), (640, 360), (7, 301)]):
        frame, message = picture(number, width=size[0], height=size[1]), told(number, {number: "happy"})
        message.payload.faces[0].box = [(0.9, 0.9, 0.3, 0.3), (-0.2, -0.2, 0.3, 0.3), (0.0, 0.5, 1.0, 0.001)][number]
        send += [("video", frame), ("emotions", message)]
    assert len(written(tmp_path / "a.html", *send, connect=("video", "emotions")).tags("img")) == 3


@pytest.mark.slow("many examples")
def test_a_page_stays_small_and_many_rows_are_left_out(tmp_path: Path) -> None:
    labels = ("happy", "sad", "angry", "fear")
    send = [("emotions", told(number, {0: labels[number % 4]})) for number in range(3000)]
    page = written(tmp_path / "a.html", *send)
    assert len(page.tags("tr")) == 61
    assert "the 60 longest of" in page.words
    assert len(page.text) < 600_000


def test_what_others_lost_is_report_received(tmp_path: Path) -> None:
    async def drive() -> None:
        async with StageHarness(report(tmp_path / "a.html"), mode="live", connect=["emotions"]) as harness:
            await harness.send("emotions", told(0, {0: "happy"}))
            links = {LinkId("camera", "video", "faces", "video"): LinkCounts(dropped={"old": 12})}
            busy = Report(stage="camera", counters={"damaged": 2}, links=links)
            last = Report(stage="camera", counters={"damaged": 3}, links=links, ended=True)
            harness.stage.status(snapshot(busy))
            ending = asyncio.create_task(harness.finish())
            for camera in (busy, busy, last):  # it waits for the last word
                await asyncio.sleep(0.05)
                harness.stage.status(snapshot(camera))
            await ending

    asyncio.run(drive())
    page = Page((tmp_path / "a.html").read_text())
    assert "camera damaged places 3" in page.words
    assert "camera.video>faces.video messages dropped (old) 12" in page.words
    assert "UTC" in page.words


def test_an_old_report_stays_until_there_is_a_new_one(tmp_path: Path) -> None:
    path = tmp_path / "a.html"
    path.write_text("precious")

    async def cut_short() -> None:
        async with StageHarness(report(path), connect=["emotions"]) as harness:
            await harness.send("emotions", told(0, {0: "happy"}))

    asyncio.run(cut_short())
    assert path.read_text() == "precious"


def test_wrong_paths(tmp_path: Path) -> None:
    def problems(path: Path, **settings: object) -> list[tuple[str, str]]:
        return HtmlReport.Settings(path=str(path), **settings).check()  # type: ignore[arg-type]

    assert problems(tmp_path / "a.html") == []
    assert problems(tmp_path / "a.txt") == [("path", f"{tmp_path}/a.txt: expected a name that ends in .html")]
    assert problems(tmp_path / "a.html", models=["none.safetensors"]) == [("models", "none.safetensors: no such file")]
    with pytest.raises(EmopipeError, match="does not exist"):
        written(tmp_path / "no" / "a.html")


def test_a_path_that_becomes_wrong(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()

    async def drive() -> None:
        async with StageHarness(report(folder / "a.html"), connect=["emotions"]) as harness:
            folder.rmdir()
            await harness.finish()

    with pytest.raises(StageFailed, match=r"a\.html cannot be written: No such file or directory; free some space"):
        asyncio.run(drive())


def test_live_pictures_that_do_not_come_hold_nothing_up(tmp_path: Path) -> None:
    stage = report(tmp_path / "a.html")

    async def drive() -> None:
        async with StageHarness(stage, mode="live") as harness:
            for number in range(100):
                await harness.clock.advance(STEP)
                await harness.send("emotions", told(number, {0: "happy"}))
            waiting = stage._join.pending("test")
            await harness.finish()
            assert waiting <= 51  # 2 s of them

    asyncio.run(drive())
    assert "0:00.0 0:04.0 face 0 happy" in Page((tmp_path / "a.html").read_text()).words


def test_results_that_wait_for_a_picture_when_time_jumps_are_report_received(tmp_path: Path) -> None:
    async def drive() -> None:
        async with StageHarness(report(tmp_path / "a.html"), mode="live") as harness:
            await harness.send("emotions", told(0, {0: "happy"}))
            await harness.send("emotions", told(0, {0: "sad"}, epoch=1))
            await harness.finish()

    asyncio.run(drive())
    words = Page((tmp_path / "a.html").read_text()).words
    assert "face 0 happy" in words
    assert "face 0 (part 2) sad" in words


def test_the_clearest_moment_is_shown(tmp_path: Path) -> None:
    send: list[tuple[str, Message]] = []
    for number, share in enumerate((0.4, 0.9, 0.6)):
        frame = VideoFrame(
            luma=np.full((96, 160), 50 * number, np.uint8), small=np.full((96, 160, 3), 50 * number, np.uint8)
        )
        message = result(number * STEP, {0: "happy"}, duration=STEP)
        message.payload.faces[0].confidence = share
        video = picture(number)
        video.payload = frame
        send += [("video", video), ("emotions", message)]
    page = written(tmp_path / "a.html", *send, connect=("video", "emotions"))
    assert [each["alt"] for each in page.tags("img")] == ["face 0 at 0:00.0: happy 90 %"]
