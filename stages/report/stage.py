"""A report for people who would rather look than read: one HTML file that needs nothing else."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar

from emopipe.models.checkpoint import read_card
from emopipe.models.thresholds import shipped_weights
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.errors import EmopipeError, ModelError, StageFailed
from emopipe.pipeline.files import replacing
from emopipe.pipeline.message import Message
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.report import Report, RunSnapshot
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.stream_join import Pair, Pairing, StreamJoin, latest_within
from emopipe.stages.report.html import RunInfo, StreamSection, page
from emopipe.stages.report.thumbnails import Thumbnails
from emopipe.stages.sinks.findings import percent
from emopipe.stages.sinks.line_file import path_problem
from emopipe.stages.sinks.records import count_result
from emopipe.stages.sinks.summary import StreamSummary
from emopipe.stages.types import Emotions, VideoFrame

MAX_STREAMS = 100
PICTURE_WAIT_NS = 2 * SECOND  # ns that a result waits for its picture in live mode
FINAL_REPORTS_TIMEOUT_S = 2.0  # s to wait for the other stages' last counts; they come about once a second
TASK_NAMES = {"facial": "Faces", "speech": "Voices", "fusion": "A face with its voice"}
COUNTER_TEXTS = {  # counters of other stages that a reader should know of
    "damaged": "damaged places",
    "repaired": "times repaired",
    "overlapping": "samples of sound that came twice",
    "skipped": "pictures skipped before any work",
    "stale": "messages from before a jump of time",
    "late_speech": "windows of speech that came too late",
    "late_faces": "frames that came too late",
}


class HtmlReport(Stage):
    """Writes who expressed what, and when, as one HTML page: faces, time lines, a table, and how far to trust it.

    The page holds all it needs and works without a network. It is written when everything has ended; until then an
    old one stays. Memory does not grow with the recording: what is kept are segments, not results.
    """

    name = "report"
    # A picture comes before its result, so that at equal pts it is there when the result asks for it.
    inputs: ClassVar[dict[str, Port]] = {
        "video": Port(VideoFrame, "pictures to cut the faces from", optional=True, policy="drop-oldest", size=8),
        "emotions": Port(Emotions, "the results to tell of", policy="drop-oldest", size=256),
    }

    class Settings(Stage.Settings, kw_only=True):
        path: Annotated[str, about("the .html file to write; an old one is overwritten at the end", min_length=1)]
        title: Annotated[str, about("what stands on top")] = "What was expressed"
        notes: Annotated[list[str], about("lines of your own for its end: who, where, with what settings")] = []  # noqa: RUF012
        models: Annotated[
            list[str], about("weights whose measured accuracy is stated; none: those shipped with emopipe")
        ] = []  # noqa: RUF012

        def check(self) -> list[Invalid]:
            problems = []
            if problem := path_problem(self.path):
                problems.append(Invalid("path", problem))
            elif not self.path.endswith((".html", ".htm")):
                problems.append(Invalid("path", f"{self.path}: expected a name that ends in .html"))
            problems += [Invalid("models", f"{path}: no such file") for path in self.weights if not path.is_file()]
            return problems

        @property
        def weights(self) -> list[Path]:
            return [Path(path) for path in self.models] or shipped_weights()

        def loads(self) -> list[str]:
            return [str(path.resolve()) for path in self.weights]

        def writes(self) -> list[str]:
            return [str(Path(self.path).resolve())]

    settings: Settings

    async def setup(self) -> None:
        if problem := path_problem(self.settings.path):
            raise EmopipeError(problem)
        self._sections: list[StreamSection] = []
        self._open: dict[str, StreamSection] = {}  # of the streams that have not ended
        self._omitted: set[str] = set()
        self._reports: Mapping[str, Report] = {}
        self._report_received = asyncio.Event()
        self._began = datetime.now(UTC)
        wait = PICTURE_WAIT_NS
        self._join = StreamJoin(
            self,
            ("video", "emotions"),
            lambda: Pairing("emotions", latest_within(0)),
            self._add,
            budget={"video": wait, "emotions": wait},
            idle=wait,
        )

    def status(self, run: RunSnapshot) -> None:
        self._reports = run.reports
        self._report_received.set()

    async def process(self, port: str, message: Message) -> None:
        section = self._section(message.stream)
        in_time = self._join.push(port, message)
        if port == "emotions":
            if not in_time:  # better without a picture than not at all
                section.summary.add(message.payload, message.pts, message.duration)
            count_result(self, message)

    async def gap(self, port: str, message: Message) -> None:
        if port == "emotions":
            count_result(self, message)

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        self._section(stream)
        await self._join.move(port, stream, watermark)

    async def flush(self, stream: str) -> None:
        for thumbnails in self._open.pop(stream).thumbnails.values():
            thumbnails.close()

    def reset(self, stream: str) -> None:
        if (section := self._open.get(stream)) is not None:  # time jumped
            for result, *_ in self._join.drain(stream):
                section.summary.add(result.payload, result.pts, result.duration)
            section.summary.jump()

    async def finish(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FINAL_REPORTS_TIMEOUT_S):
                # What is told now may be older than the end, and lack what was lost last.
                while any(report.links and not report.ended for report in self._reports.values()):
                    self._report_received.clear()
                    await self._report_received.wait()
        await self.compute(self._write)

    def _section(self, stream: str) -> StreamSection:
        if stream not in self._open:
            section = self._open[stream] = StreamSection(StreamSummary(stream), {})
            if len(self._sections) < MAX_STREAMS:
                self._sections.append(section)
            else:
                self._omitted.add(stream)
        return self._open[stream]

    async def _add(self, stream: str, pair: Pair, following: int) -> None:
        """Take a result into its stream's summary, and the faces' pictures into their thumbnails."""
        result, frame, _ = pair
        summary, thumbnails = self._open[stream]
        at = summary.add(result.payload, result.pts, result.duration)
        if frame is None:
            return
        for key in thumbnails.keys() - summary.faces.keys():  # of faces that came by for a short time only
            del thumbnails[key]
        for face in result.payload.faces:
            own = thumbnails.setdefault((summary.jumps, face.id), Thumbnails())
            if own.improves(face):
                await self.compute(own.add, face, frame.payload, at)

    # -- the page --------------------------------------------------------------------------------------------

    def _write(self) -> None:
        """Write the page so that a full disk or a crash leaves the old one in place."""
        path = Path(self.settings.path)
        try:
            with replacing(path) as file:
                file.write_text(page(self._sections, self._run_info()), encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            remedy = "free some space, or choose another path"
            raise StageFailed(f"{path} cannot be written: {error.strerror}; {remedy}") from None

    def _run_info(self) -> RunInfo:
        # A replay of the same recording gives the same page, whenever it is made and however fast it was.
        live = self.host.mode == "live"
        losses = list(_losses(self._reports))
        return RunInfo(
            title=self.settings.title,
            when=f"{self._began:%-d %B %Y, %H:%M} to {datetime.now(UTC):%H:%M} UTC" if live else "",
            measured=[sentence for path in self.settings.weights for sentence in _measured(path)],
            losses=losses if losses or (live and self._reports) else None,
            notes=self.settings.notes,
            omitted=len(self._omitted),
        )


def _measured(path: Path) -> Iterator[str]:
    """How right the model in `path` is, as a sentence; none where its card does not say."""
    try:
        card = read_card(path)
    except ModelError:
        return
    figures = card.metrics
    if "accuracy" not in figures:
        return
    low, high = figures.get("accuracy_low"), figures.get("accuracy_high")
    between = f" (95 % interval {percent(low)} to {percent(high)})" if low is not None and high is not None else ""
    several = f", one of {len(card.labels)} emotions"
    chance = figures.get("majority_accuracy")
    guessing = f"; always saying the commonest would be right in {percent(chance)}" if chance is not None else ""
    count = f"{figures['n']:,.0f} samples" if "n" in figures else "the samples"
    right = f"right in {percent(figures['accuracy'])} of {count}{between}"
    yield f"{TASK_NAMES.get(card.task, card.task)}: {right}{several}{guessing}."


def _losses(reports: Mapping[str, Report]) -> Iterator[tuple[str, str, str]]:
    """What other stages counted that a reader should know of."""
    for report in reports.values():
        for counter, words in COUNTER_TEXTS.items():
            if count := report.counters.get(counter, 0):
                yield report.stage, words, f"{count:,}"
        for link, counts in report.links.items():
            for reason, count in counts.dropped.items():
                yield str(link), f"messages dropped ({reason})", f"{count:,}"
