"""A tree of calls as SVG: the whole at the top, what it calls below it, as wide as its share of the time.

Readable on light and dark pages; which functions there are, and how long each took, is also there as text.
"""

from xml.sax.saxutils import escape

from benchmarks.chart import CARD, NOTE, RIM, TEXT
from benchmarks.flame.tree import Kind, Node

WIDTH, MARGIN, HEAD, ROW, FOOT = 1000, 14, 44, 19, 58  # px
FONT_SIZE, LETTER = 10.5, 5.7  # px; an average letter of that size is so wide
LEAST_WIDTH, LEAST_LABEL = 1.0, 26.0  # px, of a box and of one with a label
MAX_DEPTH = 12
FILL: dict[Kind, str] = {
    "all": "#4a5568",
    "pipeline": "#3f5fae",
    "stage": "#2b7a6d",
    "kernel": "#9a5f1c",
}
LEGEND: dict[Kind, str] = {
    "kernel": "libraries, for stages and models",
    "stage": "stages and models",
    "pipeline": "pipeline: messages, waiting, sending",
}
INK = "#ffffff"


def flame_graph(title: str, root: Node, ns_unit: float, unit: str, note: str) -> str:
    """The picture; a box's text gives its time in `unit`, of `ns_unit` ns each."""
    boxes = list(_boxes(root, MARGIN, WIDTH - 2 * MARGIN, 0))
    depth = 1 + max(level for _, _, _, level in boxes)
    height = HEAD + ROW * depth + FOOT
    described = "; ".join(f"{each.name}: {each.ns / ns_unit:.2f} {unit}" for each in root.sorted())
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
        ' role="img" aria-labelledby="title desc" font-family="system-ui, sans-serif">',
        f'<title id="title">{escape(title)}</title><desc id="desc">{escape(described)}</desc>',
        f'<rect width="{WIDTH}" height="{height}" rx="10" fill="{CARD}" stroke="{RIM}"/>',
        _text(MARGIN, 27, title, 13, TEXT),
    ]
    for node, x, width, level in boxes:
        y = HEAD + ROW * level
        time = f"{node.ns / ns_unit:.2f} {unit}"
        box = (
            f'<rect x="{x:.1f}" y="{y}" width="{max(width - 0.6, 0.5):.1f}" height="{ROW - 1}" rx="1.5" '
            f'fill="{FILL[node.kind]}"/>'
        )
        label = _label(node.name, time, width)
        shown = _text(x + 4, y + 13, label, FONT_SIZE, INK) if label else ""
        lines.append(f"<g><title>{escape(node.name)}: {time}</title>{box}{shown}</g>")
    x, y = float(MARGIN), HEAD + ROW * depth + 14
    for kind, meaning in LEGEND.items():
        lines.append(f'<rect x="{x:g}" y="{y}" width="11" height="11" rx="2" fill="{FILL[kind]}"/>')
        lines.append(_text(x + 16, y + 10, meaning, 11, TEXT))
        x += 40 + 6.0 * len(meaning)
    lines.append(_text(MARGIN, height - 12, note, 10, NOTE))
    return "\n".join([*lines, "</svg>\n"])


def _boxes(node: Node, x: float, width: float, level: int) -> "list[tuple[Node, float, float, int]]":
    found = [(node, x, width, level)]
    if level + 1 < MAX_DEPTH:
        for child in node.sorted():
            share = width * child.ns / node.ns
            if share >= LEAST_WIDTH:
                found += _boxes(child, x, share, level + 1)
            x += share
    return found


def _label(name: str, time: str, width: float) -> str:
    """As much of a name as fits, with the time where that fits, too."""
    if width < LEAST_LABEL:
        return ""
    letters = int((width - 7) / LETTER)
    if len(name) + len(time) + 2 <= letters:
        return f"{name}  {time}"
    return name if len(name) <= letters else f"{name[: max(letters - 1, 1)]}…"


def _text(x: float, y: float, text: str, size: float, fill: str) -> str:
    return f'<text x="{x:.1f}" y="{y:g}" font-size="{size:g}" fill="{fill}" xml:space="preserve">{escape(text)}</text>'
