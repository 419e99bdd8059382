"""Results as a person reads them: a table of what each stream shows now, and one line for a moment."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from emopipe.pipeline.clock import MS, SECOND
from emopipe.pipeline.message import Message
from emopipe.pipeline.report import Latency
from emopipe.stages.sinks.records import capture_time, likeliest
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


class Finding(NamedTuple):
    """Who (`face 3`, `voice`), their distribution, and whether its first label is uncertain."""

    who: str
    probabilities: dict[str, float]
    uncertain: bool


def findings(emotions: Emotions) -> list[Finding]:
    """Each face, then the voice, with the distribution that a person wants to see."""
    found = [Finding(f"face {face.id}", face.probabilities, face.uncertain) for face in emotions.faces]
    if emotions.alone is not None:
        found.append(Finding("voice", emotions.alone.probabilities, emotions.alone.uncertain))
    elif emotions.voice is not None:
        found.append(Finding("voice", emotions.voice.probabilities, False))
    return found


def labels(emotions: Emotions) -> list[tuple[str, str, bool]]:
    """Who shows what, and whether that is uncertain; a plain line is due when this changes."""
    return [(each.who, likeliest(each.probabilities)[0], each.uncertain) for each in findings(emotions)]


def line(message: Message) -> str:
    """One result as one line of plain text (ASCII but for the stream's name)."""
    emotions: Emotions = message.payload
    said = [] if emotions.faces else ["no face"]
    for who, probabilities, uncertain in findings(emotions):
        label, probability = likeliest(probabilities)
        said.append(f"{who} {label} {probability:.2f}{' (uncertain)' if uncertain else ''}")
    forced = " (forced)" if emotions.forced else ""
    return f"{moment(message)}  {', '.join(said)}{forced}"


def moment(message: Message) -> str:
    """When and where: how every line begins."""
    return f"{message.pts / SECOND:9.2f} s  {message.stream}"


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
        parts = [f"{self.message.stream}  {self.message.pts / SECOND:.2f} s"]
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
    result.add_column("emotion", no_wrap=True)
    result.add_column("confidence", no_wrap=True)
    if tops:
        result.add_column("most probable", no_wrap=True)
    emotions: Emotions = view.message.payload
    for who, probabilities, uncertain in findings(emotions):
        label, probability = likeliest(probabilities)
        colour = "dim" if uncertain else TERMINAL_COLOURS.get(label, "white")
        filled = round(probability * BAR_WIDTH)
        bar = ("#" if ascii_only else "█") * filled + ("." if ascii_only else "░") * (BAR_WIDTH - filled)
        number = f"{probability:.2f}"
        cells = [
            Text(who),
            Text(f"{label}?" if uncertain else label, colour),
            Text(f"{bar} {number}" if bars else number, colour),
        ]
        if tops:
            ranked = sorted(probabilities.items(), key=lambda item: -item[1])[:3]
            cells.append(Text("  ".join(f"{each} {share:.2f}" for each, share in ranked)))
        result.add_row(*cells)
    if not emotions.faces:
        result.add_row(Text("no face", "dim"))
    return result
