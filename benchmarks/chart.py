"""A bar chart as SVG, readable on light and dark pages, with its content as text for screen readers."""

from collections.abc import Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, LABEL, VALUE, ROW, BAR, HEAD, FOOT = 820, 250, 230, 30, 16, 52, 40  # px
CARD, RIM, TEXT, NOTE, FILL, MARK = "#1f2733", "#566274", "#e6eaf0", "#98a5b8", "#5b7fd6", "#e6eaf0"


class Bar(NamedTuple):
    """One bar: a median, and the lowest and highest that it was taken of; `target` is a mark on its way."""

    label: str
    value: float
    low: float
    high: float
    unit: str = ""
    target: float | None = None


def bar_chart(title: str, bars: Sequence[Bar], note: str) -> str:
    """The bars, each unit on a scale of its own that begins at 0; `note` says where and when that was measured."""
    scales = {bar.unit: max(_reach(each) for each in bars if each.unit == bar.unit) for bar in bars}
    height = HEAD + ROW * len(bars) + FOOT
    described = "; ".join(f"{bar.label}: {_figure(bar)}" for bar in bars)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' role="img" aria-labelledby="title desc" font-family="system-ui, sans-serif">',
        f'<title id="title">{escape(title)}</title><desc id="desc">{escape(described)}</desc>',
        f'<rect width="{WIDTH}" height="{height}" rx="10" fill="{CARD}" stroke="{RIM}"/>',
        _text(20, 30, title, 12.5, TEXT),
    ]
    span = WIDTH - LABEL - VALUE
    for number, bar in enumerate(bars):
        y = HEAD + ROW * number
        scale = span / scales[bar.unit] if scales[bar.unit] > 0 else 0.0
        middle = y + BAR / 2
        lines += [
            _text(20, y + 13, bar.label, 12, TEXT),
            f'<rect x="{LABEL}" y="{y}" width="{bar.value * scale:.1f}" height="{BAR}" rx="3" fill="{FILL}"/>',
            f'<path d="M{LABEL + bar.low * scale:.1f} {middle}H{LABEL + bar.high * scale:.1f}" stroke="{MARK}"/>',
            _text(LABEL + span + 12, y + 13, _figure(bar), 12, NOTE),
        ]
        if bar.target is not None:
            x = LABEL + bar.target * scale
            lines.append(f'<path d="M{x:.1f} {y - 4}V{y + BAR + 4}" stroke="{MARK}" stroke-dasharray="3 2"/>')
    lines.append(_text(20, height - 14, note, 10, NOTE))
    return "\n".join([*lines, "</svg>\n"])


def _reach(bar: Bar) -> float:
    return max(bar.value, bar.high, bar.target or 0.0)


def _figure(bar: Bar) -> str:
    unit = f" {bar.unit}" if bar.unit else ""
    return f"{bar.value:.3g}{unit} ({bar.low:.3g} – {bar.high:.3g})"


def _text(x: float, y: float, text: str, size: float, fill: str) -> str:
    return f'<text x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{fill}">{escape(text)}</text>'
