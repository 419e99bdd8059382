"""A report's time lines and share bars, as SVG that stands in the page itself."""

import math
from collections.abc import Iterator, Mapping
from html import escape

from emopipe.pipeline.clock import SECOND
from emopipe.stages.sinks.findings import verdict
from emopipe.stages.sinks.segments import Segment, Timeline
from emopipe.stages.sinks.summary import StreamSummary

WIDTH_PX, LEFT_PX, RIGHT_PX = 960, 132, 16  # px, of the whole, and of its margins
BAND_PX, THIN_PX, GAP_PX, TOP_PX = 24, 9, 18, 26  # px
MAX_TICKS = 8  # about so many on the axis
LETTER_PX = 7.5  # that a letter takes
TICK_STEPS_S = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14_400)  # s
MIN_SHARE = 0.005  # of the time, that is told


Names = Mapping[str, str]
"""What the colour of each label is called (`emopipe.stages.palette.names`)."""


def patterns(names: Names) -> str:
    """What every time line refers to: a hatching for each label, for what is uncertain."""
    hatched = "".join(
        f'<pattern id="unsure-{label}" width="7" height="7" patternUnits="userSpaceOnUse" '
        f'patternTransform="rotate(45)"><rect width="7" height="7" class="{label}" opacity=".16"/>'
        f'<rect width="2.6" height="7" class="{label}"/></pattern>'
        for label in dict.fromkeys(names.values())
    )
    return f'<svg class="patterns" width="0" height="0" aria-hidden="true"><defs>{hatched}</defs></svg>'


def time_line(summary: StreamSummary, ident: str, names: Names) -> str:
    """All lanes of one stream under each other, on one axis."""
    scale = (WIDTH_PX - LEFT_PX - RIGHT_PX) / max(summary.end, 1)
    rows: list[str] = []
    y = TOP_PX
    for face in summary.faces.values():
        rows += _row(face.name, "with the voice" if face.voice else "", face.timeline, y, BAND_PX, scale, names)
        y += BAND_PX
        if face.voice:
            rows += _band(face.alone, y + 3, THIN_PX, scale, names)
            rows.append(f'<text class="minor" x="{LEFT_PX - 10}" y="{y + 12}" text-anchor="end">face alone</text>')
            y += 3 + THIN_PX
        y += GAP_PX
    if summary.voice.segments:
        rows += _row("voice", "by itself" if summary.faces else "", summary.voice, y, BAND_PX, scale, names)
        y += BAND_PX + GAP_PX
    title = escape(f"Time line of {summary.stream}")
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="{title}"><svg class="line" role="img" '
        f'viewBox="0 0 {WIDTH_PX} {y}" aria-labelledby="{ident}-t {ident}-d"><title id="{ident}-t">{title}</title>'
        f'<desc id="{ident}-d">Coloured segments, a row for each who. The table below says the same.</desc>'
        f"{''.join(_axis(summary.end, y - GAP_PX + 6, scale))}{''.join(rows)}</svg></div>"
    )


def share_bar(name: str, certain: float, uncertain: float) -> str:
    """One label's part of the time (0..1), in the colour of this name, its uncertain part hatched."""
    return (
        '<svg class="share" height="12" aria-hidden="true"><rect class="track" width="100%" height="12" rx="2"/>'
        f'<rect width="{100 * certain:.2f}%" height="12" class="{name}"/>'
        f'<rect x="{100 * certain:.2f}%" width="{100 * uncertain:.2f}%" height="12" fill="url(#unsure-{name})"/></svg>'
    )


def shares(timeline: Timeline) -> list[tuple[str, float, float]]:
    """(emotion, certain, uncertain part of the time), the most frequent first; what rounds to nothing is left out."""
    total = max(timeline.total, 1)
    labels = timeline.certain.keys() | timeline.uncertain.keys()
    parts = [(label, timeline.certain[label] / total, timeline.uncertain[label] / total) for label in labels]
    return sorted(
        (part for part in parts if part[1] + part[2] >= MIN_SHARE), key=lambda part: (-part[1] - part[2], part[0])
    )


def time_text(ns: int) -> str:
    """`0:07.4`, or `1:02:07` from an hour on."""
    tenths = round(ns * 10 / SECOND)
    minutes, rest = divmod(tenths, 600)
    if minutes < 60:
        return f"{minutes}:{rest // 10:02}.{rest % 10}"
    return f"{minutes // 60}:{minutes % 60:02}:{rest // 10:02}"


def _row(name: str, detail: str, timeline: Timeline, y: int, height: int, scale: float, names: Names) -> Iterator[str]:
    yield f'<text class="who" x="{LEFT_PX - 10}" y="{y + 11}" text-anchor="end">{escape(name)}</text>'
    yield f'<text class="minor" x="{LEFT_PX - 10}" y="{y + 23}" text-anchor="end">{detail}</text>'
    width = WIDTH_PX - LEFT_PX - RIGHT_PX
    yield f'<rect class="track" x="{LEFT_PX}" y="{y}" width="{width}" height="{height}" rx="3"/>'
    yield from _band(timeline, y, height, scale, names)


def _band(timeline: Timeline, y: int, height: int, scale: float, names: Names) -> Iterator[str]:
    drawn = 0.0  # px; what would not be seen is left out
    for segment in timeline.segments:
        x, end = LEFT_PX + segment.start * scale, LEFT_PX + segment.end * scale
        if end < drawn + 0.3:
            continue
        drawn = max(end, x + 0.6)
        name = names[segment.emotion]
        fill = f'fill="url(#unsure-{name})"' if segment.uncertain else f'class="{name}"'
        yield (
            f'<rect x="{x:.1f}" y="{y}" width="{drawn - x:.1f}" height="{height}" {fill}>'
            f"<title>{escape(_segment_text(segment))}</title></rect>"
        )
        if height >= BAND_PX and drawn - x > LETTER_PX * len(segment.emotion) + 8:
            kind = "label unsure" if segment.uncertain else f"label on-{name}"
            yield f'<text class="{kind}" x="{x + 6:.1f}" y="{y + height / 2 + 4:.1f}">{escape(segment.emotion)}</text>'


def _segment_text(segment: Segment) -> str:
    said = verdict(segment.emotion, segment.confidence, segment.uncertain)
    return f"{time_text(segment.start)} to {time_text(segment.end)}: {segment.who}: {said}"


def _axis(end: int, bottom: int, scale: float) -> Iterator[str]:
    step = next((each for each in TICK_STEPS_S if end / SECOND / each <= MAX_TICKS), TICK_STEPS_S[-1])
    for number in range(math.floor(end / SECOND / step) + 1):
        at = round(number * step * SECOND)
        x = LEFT_PX + at * scale
        yield f'<line class="tick" x1="{x:.1f}" y1="18" x2="{x:.1f}" y2="{bottom}"/>'
        yield f'<text class="minor" x="{x:.1f}" y="12" text-anchor="middle">{time_text(at)}</text>'
