"""A report's time lines and share bars, as SVG that stands in the page itself."""

import math
from collections import Counter
from collections.abc import Iterator
from html import escape

from emopipe.models.labels import FACE
from emopipe.pipeline.clock import SECOND
from emopipe.stages.report.segments import Segment, StreamSummary, Timeline

WIDTH, LEFT, RIGHT = 960, 132, 16  # px, of the whole, and of its margins
TALL, THIN, MAX_GAP_NS, HEAD = 24, 9, 18, 26  # px
TICKS = 8  # about so many on the axis
NAMED = 7.5  # px that a letter takes
STEPS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400)  # s


def patterns() -> str:
    """What every time line refers to: a hatching for each emotion, for what is uncertain."""
    hatched = "".join(
        f'<pattern id="unsure-{label}" width="7" height="7" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><rect width="7" height="7" class="{label}" opacity=".16"/>'
        f'<rect width="2.6" height="7" class="{label}"/></pattern>'
        for label in FACE
    )
    return f'<svg class="patterns" width="0" height="0" aria-hidden="true"><defs>{hatched}</defs></svg>'


def time_line(summary: StreamSummary, ident: str) -> str:
    """All lanes of one stream under each other, on one axis."""
    scale = (WIDTH - LEFT - RIGHT) / max(summary.end, 1)
    rows: list[str] = []
    y = HEAD
    for person in summary.people.values():
        rows += _row(person.name, "with the voice", person.together, y, TALL, scale)
        rows += _lane(person.face, y + TALL + 3, THIN, scale)
        rows.append(f'<text class="minor" x="{LEFT - 10}" y="{y + TALL + 12}" text-anchor="end">face alone</text>')
        y += TALL + 3 + THIN + MAX_GAP_NS
    if summary.voice.segments:
        rows += _row("Voice", "alone", summary.voice, y, TALL, scale)
        y += TALL + MAX_GAP_NS
    title = escape(f"Time line of {summary.stream}")
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{title}"><svg class="line" role="img" '
        f'viewBox="0 0 {WIDTH} {y}" aria-labelledby="{ident}-t {ident}-d"><title id="{ident}-t">{title}</title>'
        f'<desc id="{ident}-d">Coloured segments, one row for each face and one for the voice. '
        f"The table below says the same.</desc>"
        f"{''.join(_axis(summary.end, y - MAX_GAP_NS + 6, scale))}{''.join(rows)}</svg></div>"
    )


def share_bar(lane: Timeline) -> str:
    """What part of its time went to which emotion, as one bar; the uncertain part of each is hatched."""
    total, x = max(lane.total, 1), 0.0
    parts = []
    for label, uncertain, ns in shares(lane):
        width = 100 * ns / total
        fill = f'fill="url(#unsure-{label})"' if uncertain else f'class="{label}"'
        name = f"{label}{', uncertain' if uncertain else ''} {ns / total:.0%}"
        parts.append(f'<rect x="{x:.2f}%" width="{width:.2f}%" height="12" {fill}><title>{name}</title></rect>')
        x += width
    return f'<svg class="share" width="100%" height="12" aria-hidden="true">{"".join(parts)}</svg>'


def shares(lane: Timeline) -> list[tuple[str, bool, int]]:
    """(emotion, uncertain, ns), an emotion's certain and uncertain part together, the most frequent emotion first."""
    both: Counter[str] = lane.certain + lane.unsure
    ranked = sorted(both, key=lambda label: (-both[label], label))
    parts = [
        (label, unsure, lane.unsure[label] if unsure else lane.certain[label])
        for label in ranked
        for unsure in (False, True)
    ]
    return [part for part in parts if part[2]]


def moment(ns: int) -> str:
    """`0:07.4`, or `1:02:07` from an hour on."""
    tenths = round(ns * 10 / SECOND)
    minutes, rest = divmod(tenths, 600)
    if minutes < 60:
        return f"{minutes}:{rest // 10:02}.{rest % 10}"
    return f"{minutes // 60}:{minutes % 60:02}:{rest // 10:02}"


def _row(name: str, detail: str, lane: Timeline, y: int, height: int, scale: float) -> Iterator[str]:
    yield f'<text class="who" x="{LEFT - 10}" y="{y + 11}" text-anchor="end">{escape(name)}</text>'
    yield f'<text class="minor" x="{LEFT - 10}" y="{y + 23}" text-anchor="end">{detail}</text>'
    yield f'<rect class="track" x="{LEFT}" y="{y}" width="{WIDTH - LEFT - RIGHT}" height="{height}" rx="3"/>'
    yield from _lane(lane, y, height, scale)


def _lane(lane: Timeline, y: int, height: int, scale: float) -> Iterator[str]:
    drawn = 0.0  # px; what would not be seen is left out
    for segment in lane.segments:
        x, end = LEFT + segment.start * scale, LEFT + segment.end * scale
        if end < drawn + 0.3:
            continue
        drawn = max(end, x + 0.6)
        fill = f'fill="url(#unsure-{segment.emotion})"' if segment.uncertain else f'class="{segment.emotion}"'
        yield (
            f'<rect x="{x:.1f}" y="{y}" width="{drawn - x:.1f}" height="{height}" {fill}>'
            f"<title>{_said(segment)}</title></rect>"
        )
        if height >= TALL and drawn - x > NAMED * len(segment.emotion) + 8:
            kind = "label unsure" if segment.uncertain else f"label on-{segment.emotion}"
            yield f'<text class="{kind}" x="{x + 6:.1f}" y="{y + height / 2 + 4:.1f}">{segment.emotion}</text>'


def _said(segment: Segment) -> str:
    unsure = ", uncertain" if segment.uncertain else ""
    return f"{moment(segment.start)} to {moment(segment.end)}: {segment.emotion} {segment.confidence:.0%}{unsure}"


def _axis(end: int, bottom: int, scale: float) -> Iterator[str]:
    step = next((each for each in STEPS if end / SECOND / each <= TICKS), STEPS[-1])
    for number in range(math.floor(end / SECOND / step) + 1):
        at = round(number * step * SECOND)
        x = LEFT + at * scale
        yield f'<line class="tick" x1="{x:.1f}" y1="18" x2="{x:.1f}" y2="{bottom}"/>'
        yield f'<text class="minor" x="{x:.1f}" y="12" text-anchor="middle">{moment(at)}</text>'
