"""A graph as a picture: Mermaid for pages that render it, SVG for everywhere else."""

from collections.abc import Mapping
from xml.sax.saxutils import escape, quoteattr

from emopipe.pipeline.graph.layout import HEADER, Layout, Place, Wire, lay_out
from emopipe.pipeline.graph.spec import Graph, OutputRef, StageSpec
from emopipe.pipeline.port import Queue
from emopipe.pipeline.text import count, show

# Cards carry their own background, and what stands beside them is of middle lightness: on a light page and on a
# dark one both can be read.
CARD, RIM, TEXT, NOTE, LINE = "#1f2733", "#566274", "#e6eaf0", "#98a5b8", "#718096"
ROLES = {"source": "#0f766e", "stage": "#3f51a8", "sink": "#a1490c"}


def mermaid(graph: Graph) -> str:
    """The graph as a Mermaid flowchart."""
    ids = {name: f"s{number}" for number, name in enumerate(graph.stages)}
    shapes = {"source": ("([", "])"), "stage": ("[", "]"), "sink": ("[/", "/]")}
    lines = ["flowchart LR"]
    for number, (process, names) in enumerate(graph.processes.items()):
        indent = "    "
        if len(names) > 1:
            lines.append(f'    subgraph p{number}["process {process}"]')
            indent *= 2
        for name in names:
            left, right = shapes[_role(graph.stages[name])]
            lines.append(f'{indent}{ids[name]}{left}"<b>{name}</b><br/>{escape(graph.stages[name].use)}"{right}')
        if len(names) > 1:
            lines.append("    end")
    for link in graph.links:
        output, port = link.id.output, link.id.input
        ports = port if port == output else f"{output} → {port}"
        label = "<br/>".join(filter(None, [ports, _queue(graph, link.queue)]))
        lines.append(f'    {ids[link.id.sender]} -->|"{label}"| {ids[link.id.receiver]}')
    return "\n".join(lines) + "\n"


def svg(graph: Graph) -> str:
    """The graph as an SVG picture, readable on light and dark pages, with its content as text for screen readers."""
    notes = {(link.id.receiver, link.id.input): _queue(graph, link.queue) for link in graph.links}
    used = {OutputRef(link.id.sender, link.id.output) for link in graph.links}
    layout = lay_out(graph, notes)
    note = "replay: every link blocks, nothing is dropped" if graph.mode == "replay" else "live"
    if graph.latency_budget is not None:
        note += f", within {show(graph.latency_budget)} s"
    ends = [link.id for link in graph.links]
    links = "; ".join(f"{each.sender}.{each.output} to {each.receiver}.{each.input}" for each in ends)
    width, height = round(layout.width), round(layout.height + 14)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            ' role="img" aria-labelledby="title desc" font-family="system-ui, -apple-system, Segoe UI, Roboto, '
            'Helvetica, Arial, sans-serif">',
            f'<title id="title">The graph {escape(graph.name)}: {count(len(graph.stages), "stage")}</title>',
            f'<desc id="desc">{escape(links)}</desc>',
            *_frames(layout),
            *(_wire(wire) for wire in layout.wires),
            *(line for name, box in layout.boxes.items() for line in _card(graph.stages[name], box, notes, used)),
            _text(20, height - 12, f"{graph.name} · {note}", 11, LINE),
            "</svg>\n",
        ]
    )


def _role(spec: StageSpec) -> str:
    return "source" if not spec.cls.inputs else "stage" if spec.cls.outputs else "sink"


def _queue(graph: Graph, queue: Queue) -> str:
    """How an input's queues behave, where that is a choice: in replay mode all of them block."""
    if graph.mode == "replay":
        return ""
    age = f" · {show(queue.max_age)} s" if queue.max_age is not None else ""
    return f"{queue.policy} {queue.size}{age}"


def _card(spec: StageSpec, box: Place, notes: Mapping[tuple[str, str], str], used: set[OutputRef]) -> list[str]:
    x, y, right, role = box.x, box.y, box.x + box.width, ROLES[_role(spec)]
    head = (
        f"M{x:g} {y + HEADER:g}v{10 - HEADER:g}a10 10 0 0 1 10-10h{box.width - 20:g}a10 10 0 0 1 10 10v{HEADER - 10:g}z"
    )
    lines = [
        f'<g class="stage" data-stage={quoteattr(spec.name)}>',
        f'<rect x="{x:g}" y="{y:g}" width="{box.width:g}" height="{box.height:g}" rx="10" fill="{CARD}"/>',
        f'<path d="{head}" fill="{role}"/>',
        f'<rect x="{x:g}" y="{y:g}" width="{box.width:g}" height="{box.height:g}" rx="10" fill="none" stroke="{RIM}"/>',
        _text(x + 14, y + 20, spec.name, 15, "#ffffff", extra='font-weight="600"'),
        _text(x + 14, y + 36, spec.use, 11, "#ffffff", extra='opacity="0.8"'),
    ]
    for port, offset in box.inputs.items():
        lines.append(_dot(x, y + offset, filled=port in spec.inputs))
        note = f'<tspan fill="{NOTE}" dx="8">{escape(notes[spec.name, port])}</tspan>' if port in spec.inputs else ""
        lines.append(_text(x + 14, y + offset + 4, port, 11.5, TEXT, more=note))
    for port, offset in box.outputs.items():
        lines.append(_dot(right, y + offset, filled=OutputRef(spec.name, port) in used))
        lines.append(_text(right - 14, y + offset + 4, port, 11.5, TEXT, extra='text-anchor="end"'))
    return [*lines, "</g>"]


def _dot(x: float, y: float, *, filled: bool) -> str:
    fill = TEXT if filled else CARD
    return f'<circle cx="{x:g}" cy="{y:g}" r="4" fill="{fill}" stroke="{RIM}" stroke-width="1.5"/>'


def _frames(layout: Layout) -> list[str]:
    lines = []
    for frame in layout.frames:
        lines.append(
            f'<rect class="process" x="{frame.x:g}" y="{frame.y:g}" width="{frame.width:g}" height="{frame.height:g}"'
            f' rx="14" fill="{LINE}" fill-opacity="0.1" stroke="{LINE}" stroke-dasharray="5 4"/>'
        )
        lines.append(_text(frame.x + 14, frame.y + 19, f"process {frame.process}", 11, LINE))
    return lines


def _wire(wire: Wire) -> str:
    """One smooth path: curves from column to column, straight through the columns that it passes."""
    link, (start, *passages, end) = wire.link, wire.places
    x, y = start.x + start.width, start.y + start.outputs[link.output]
    path = f"M{x:g} {y:g}"
    for place in [*passages, end]:
        down = place.y + place.inputs[link.input if place is end else ""]
        half = (place.x - x) / 2
        path += f"C{x + half:g} {y:g} {place.x - half:g} {down:g} {place.x:g} {down:g}"
        x, y = place.x, down
        if place is not end:
            x += place.width
            path += f"H{x:g}"
    return f'<path class="link" d="{path}" fill="none" stroke="{LINE}" stroke-width="2"/>'


def _text(x: float, y: float, text: str, size: float, fill: str, *, extra: str = "", more: str = "") -> str:
    place = f'x="{x:g}" y="{y:g}" font-size="{size:g}" fill="{fill}"'
    return f"<text {place}{' ' if extra else ''}{extra}>{escape(text)}{more}</text>"
