"""Results as a person reads them: a table of what each stream shows now, and one line for a moment."""

from collections import deque
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.message import Message
from emopipe.pipeline.report import Latency
from emopipe.pipeline.text import printable
from emopipe.stages.sinks.findings import findings, percent
from emopipe.stages.sinks.records import capture_time
from emopipe.stages.types import Emotions

RECENT_NS = 5 * SECOND  # what rates and latencies are taken over
BAR_WIDTH = 10  # characters
TERMINAL_COLOURS = {
    "angry": "red",
    "disgust": "green",
    "fear": "magenta",
    "happy": "yellow",
    "sad": "blue",
    "surprise": "cyan",
    "neutral": "white",
}


def labels(emotions: Emotions) -> list[tuple[str, str, bool]]:
    """Who shows what, and whether that is uncertain; a plain line is due when this changes."""
    return [(each.who, each.emotion, each.uncertain) for each in findings(emotions)]


def line(message: Message) -> str:
    """One result as one line of plain text (ASCII but for the stream's name)."""
    emotions: Emotions = message.payload
    said = [*([] if emotions.faces else ["no face"]), *(each.text for each in findings(emotions))]
    forced = " (forced)" if emotions.forced else ""
    return f"{moment(message)}  {'; '.join(said)}{forced}"


def moment(message: Message) -> str:
    """When and where: how every line begins."""
    return f"{message.pts / SECOND:9.2f} s  {printable(message.stream)}"


class StreamView:
    """What is known of one stream now: its newest result, and how fast and how old results have lately been."""

    def __init__(self, message: Message) -> None:
        self.message = message
        self.ended = False
        self._recent: deque[tuple[int, int]] = deque()  # (shown at, age), ns

    def update(self, message: Message, now: int) -> None:
        self.message = message
        self._recent.append((now, now - capture_time(message)))
        self._forget(now)

    def heading(self, now: int) -> str:
        """The stream's name and time, its rate, and the latency from capture to here."""
        self._forget(now)
        parts = [f"{printable(self.message.stream)}  {self.message.pts / SECOND:.2f} s"]
        if self.ended:
            parts.append("ended")
        elif self._recent:
            span = max(now - self._recent[0][0], SECOND)
            ages = Latency()
            for _, age in self._recent:
                ages.add(age)
            parts.append(f"{len(self._recent) * SECOND / span:.1f} results/s")
            parts.append(f"latency p50 {ages.percentile(50) / MS:.0f} ms, p95 {ages.percentile(95) / MS:.0f} ms")
        else:
            parts.append("nothing new")
        return ", ".join(parts)

    def _forget(self, now: int) -> None:
        while self._recent and self._recent[0][0] < now - RECENT_NS:
            self._recent.popleft()


def table(views: Iterable[StreamView], now: int, *, width: int, ascii_only: bool = False) -> RenderableType:
    """All streams as tables, one below the other; what a narrow terminal has no room for is left out."""
    return Group(
        *(part for view in views for part in (Text(view.heading(now), "italic"), _rows(view, width, ascii_only)))
    )


def _rows(view: StreamView, width: int, ascii_only: bool) -> Table:
    bars, tops = width >= 40, width >= 76
    result = Table(box=None, pad_edge=False, header_style="dim", show_header=bars)
    result.add_column("who", no_wrap=True)
    result.add_column("expresses", no_wrap=True, min_width=9)
    result.add_column("confidence", no_wrap=True, min_width=5)
    if tops:
        result.add_column("", no_wrap=True)
        result.add_column("or else", no_wrap=True)
    emotions: Emotions = view.message.payload
    for finding in findings(emotions):
        colour = "dim" if finding.uncertain else TERMINAL_COLOURS.get(finding.emotion, "white")
        filled = round(finding.confidence * BAR_WIDTH)
        bar = ("#" if ascii_only else "█") * filled + ("." if ascii_only else "░") * (BAR_WIDTH - filled)
        number = f"{percent(finding.confidence):>5}"
        cells = [
            Text(finding.who),
            Text(f"{finding.emotion}?" if finding.uncertain else finding.emotion, colour),
            Text(f"{bar} {number}" if bars else number, colour),
        ]
        if tops:
            cells.append(Text("uncertain" if finding.uncertain else "", colour))
            ranked = sorted(finding.probabilities.items(), key=lambda item: -item[1])[1:3]
            cells.append(Text(", ".join(f"{each} {percent(share)}" for each, share in ranked)))
        result.add_row(*cells)
    if not emotions.faces:
        result.add_row(Text("no face", "dim"))
    return result
