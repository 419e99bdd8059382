"""Where a graph's boxes, frames and wires go: layered from left to right, in the manner of Sugiyama et al. (1981).

A stage's column is the length of the longest path to it. A wire that skips columns gets a place of its own in each,
so that it never runs behind a box. All that stands in a column is ordered by one order from top to bottom, chosen
for few crossings; the members of a process are neighbours in it, so that frames never overlap. Heights then settle
where wires are straight, within the distances that the order demands.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations, pairwise

from emopipe.pipeline.graph.spec import Graph
from emopipe.pipeline.port import LinkId

HEADER, ROW, PAD = 46.0, 20.0, 8.0  # of a box: its title, a row of ports, below the last one
BETWEEN, PASSING = 24.0, 12.0  # least distance from box to box, and to a wire that passes
FRAME, FRAME_TITLE = 14.0, 30.0  # from the boxes to the frame of their process; above, with its name
COLUMN = 64.0  # from column to column
SWEEPS = 80  # over all heights, until they have settled

Block = list["Place"]


@dataclass(eq=False)
class Place:
    """A box, or a wire's passage through a column. `inputs` and `outputs` hold the ports' heights in it."""

    name: str
    rank: int
    height: float
    width: float = 0.0
    inputs: dict[str, float] = field(default_factory=dict)
    outputs: dict[str, float] = field(default_factory=dict)
    x: float = 0.0
    y: float = 0.0


@dataclass
class Frame:
    """Around the stages of one process."""

    process: str
    x: float
    y: float
    width: float
    height: float


@dataclass
class Wire:
    """One link: from the first place's output through passages to the last place's input."""

    link: LinkId
    places: list[Place]


@dataclass
class Layout:
    """Everything in its place, in px, within `width` × `height`."""

    boxes: dict[str, Place]
    frames: list[Frame]
    wires: list[Wire]
    width: float
    height: float


def text_width(text: str, size: float) -> float:
    """About how wide a text will be in an unknown sans-serif font, rather too wide than too narrow."""
    return sum(0.35 if c in "iljt.,:·|' " else 0.9 if c in "mwMW@" else 0.6 for c in text) * size


def lay_out(graph: Graph, notes: Mapping[tuple[str, str], str], margin: float = 20.0) -> Layout:
    """The layout of a graph; `notes`, by stage and input, stand behind the inputs' names and need room."""
    boxes = _boxes(graph, notes)
    wires, blocks = _wire(graph, boxes)
    blocks = _ordered(blocks, wires)
    _order_ports(blocks, wires)
    groups = [block for block in blocks if len(block) > 1]
    _settle(blocks, wires)
    places = [place for block in blocks for place in block]
    _columns(places)
    frames = [_frame(graph, block) for block in groups]
    drawn: list[Place | Frame] = [*places, *frames]
    left, top = min(thing.x for thing in drawn), min(thing.y for thing in drawn)
    for thing in drawn:
        thing.x += margin - left
        thing.y += margin - top
    width, height = max(thing.x + thing.width for thing in drawn), max(thing.y + thing.height for thing in drawn)
    return Layout(boxes, frames, wires, width + margin, height + margin)


def _boxes(graph: Graph, notes: Mapping[tuple[str, str], str]) -> dict[str, Place]:
    boxes: dict[str, Place] = {}
    for name, spec in graph.stages.items():
        feeders = [boxes[source.stage].rank for sources in spec.inputs.values() for source in sources]
        inputs = [f"{port}  {notes.get((name, port), '')}" for port in spec.cls.inputs]
        ports = sum(max((text_width(text, 11.5) for text in side), default=0.0) for side in (inputs, spec.cls.outputs))
        boxes[name] = Place(
            name,
            rank=max(feeders, default=-1) + 1,
            height=HEADER + max(len(spec.cls.inputs), len(spec.cls.outputs)) * ROW + PAD,
            width=max(120.0, text_width(name, 15) + 32, text_width(spec.use, 11) + 32, ports + 52),
            inputs=_rows(spec.cls.inputs),
            outputs=_rows(spec.cls.outputs),
        )
    return boxes


def _rows(ports: Iterable[str]) -> dict[str, float]:
    return {port: HEADER + PAD / 2 + ROW * (row + 0.5) for row, port in enumerate(ports)}


def _wire(graph: Graph, boxes: dict[str, Place]) -> tuple[list[Wire], list[Block]]:
    """The wires with their passages, and all places in blocks: one a process of several stages, else alone."""
    members = {name: process for process, names in graph.processes.items() if len(names) > 1 for name in names}
    blocks: dict[str, Block] = {}
    for name, box in boxes.items():
        blocks.setdefault(f"process {members[name]}" if name in members else name, []).append(box)
    wires = []
    for link in (each.id for each in graph.links):
        start, end = boxes[link.sender], boxes[link.receiver]
        name = str(link)
        passages = [
            Place(name, rank, height=2.0, inputs={"": 1.0}, outputs={"": 1.0})
            for rank in range(start.rank + 1, end.rank)
        ]
        wires.append(Wire(link, [start, *passages, end]))
        process = members.get(start.name)
        inside = process is not None and process == members.get(end.name)
        for number, passage in enumerate(passages):
            blocks.setdefault(f"process {process}" if inside else f"{name} {number}", []).append(passage)
    return wires, list(blocks.values())


def _ordered(blocks: list[Block], wires: list[Wire]) -> list[Block]:
    """Blocks, and places within them, from top to bottom: moved one by one for as long as that gains something."""
    effort = 1_000_000 // (1 + len(wires) ** 2)  # moves tried at most, so that a huge graph takes no minutes
    best, cost = blocks, _cost(blocks, wires)
    improved = True
    while improved and cost > 0:
        improved = False
        for candidate in _moves(best):
            effort -= 1
            if effort < 0:
                return best
            if (found := _cost(candidate, wires)) < cost:
                best, cost, improved = candidate, found, True
                break
    return best


def _moves(blocks: list[Block]) -> Iterator[list[Block]]:
    for i in range(len(blocks)):
        rest = blocks[:i] + blocks[i + 1 :]
        for j in range(len(blocks)):
            if i != j:
                yield [*rest[:j], blocks[i], *rest[j:]]
    for i, block in enumerate(blocks):
        for j in range(len(block) - 1):
            swapped = [*block[:j], block[j + 1], block[j], *block[j + 2 :]]
            yield [*blocks[:i], swapped, *blocks[i + 1 :]]


def _cost(blocks: list[Block], wires: list[Wire]) -> float:
    """Crossings first, then how far the wires are from straight."""
    columns: dict[int, list[Place]] = {}
    for block in blocks:
        for place in block:
            columns.setdefault(place.rank, []).append(place)
    at = {
        id(place): number - (len(column) - 1) / 2 for column in columns.values() for number, place in enumerate(column)
    }
    spans: dict[int, list[tuple[float, float]]] = {}
    bends = 0.0
    for wire in wires:
        for start, end in pairwise(wire.places):
            spans.setdefault(start.rank, []).append((at[id(start)], at[id(end)]))
            bends += abs(at[id(start)] - at[id(end)])
    crossings = sum((a - c) * (b - d) < 0 for span in spans.values() for (a, b), (c, d) in combinations(span, 2))
    return crossings * 1000 + bends


def _order_ports(blocks: list[Block], wires: list[Wire]) -> None:
    """Each box's ports from top to bottom as the places their wires lead to; those without wires come last."""
    order = {id(place): number for number, place in enumerate(place for block in blocks for place in block)}
    leads: dict[tuple[str, str, str], list[int]] = {}
    for wire in wires:
        leads.setdefault(("out", wire.link.sender, wire.link.output), []).append(order[id(wire.places[1])])
        leads.setdefault(("in", wire.link.receiver, wire.link.input), []).append(order[id(wire.places[-2])])

    def height(side: str, box: Place, port: str) -> float:
        found = leads.get((side, box.name, port))
        return sum(found) / len(found) if found else math.inf

    for box in (place for block in blocks for place in block if place.width):
        box.inputs = _rows(sorted(box.inputs, key=lambda port: height("in", box, port)))
        box.outputs = _rows(sorted(box.outputs, key=lambda port: height("out", box, port)))


def _ends(wire: Wire, number: int) -> tuple[float, float]:
    """Where in its two places the wire's part `number` begins and ends."""
    start, end = wire.places[number], wire.places[number + 1]
    first, last = number == 0, number == len(wire.places) - 2
    return start.outputs[wire.link.output if first else ""], end.inputs[wire.link.input if last else ""]


def _settle(blocks: list[Block], wires: list[Wire]) -> None:
    """Heights: packed from above first, then each place moves to where its wires are straight, as far as it can."""
    above: dict[int, list[tuple[Place, float]]] = {}
    below: dict[int, list[tuple[Place, float]]] = {}
    for upper, lower, distance in _distances(blocks):
        above.setdefault(id(lower), []).append((upper, distance))
        below.setdefault(id(upper), []).append((lower, distance))
    pulls: dict[int, list[tuple[Place, float]]] = {}
    for wire in wires:
        for number, (start, end) in enumerate(pairwise(wire.places)):
            out, into = _ends(wire, number)
            pulls.setdefault(id(start), []).append((end, into - out))
            pulls.setdefault(id(end), []).append((start, out - into))
    places = [place for block in blocks for place in block]
    for place in places:
        place.y = max((upper.y + distance for upper, distance in above.get(id(place), [])), default=0.0)

    def move(place: Place, wanted: float) -> None:
        low = max((upper.y + distance for upper, distance in above.get(id(place), [])), default=-math.inf)
        high = min((lower.y - distance for lower, distance in below.get(id(place), [])), default=math.inf)
        place.y = max(low, min(high, wanted))

    for sweep in range(SWEEPS):
        for place in places if sweep % 2 else reversed(places):
            if levels := [other.y + offset for other, offset in pulls.get(id(place), [])]:
                move(place, sum(levels) / len(levels))
    for place in sorted(places, key=lambda place: place.rank):
        # A wire that is almost straight had better be; what is left of this place does not move any more.
        levels = [other.y + offset for other, offset in pulls.get(id(place), []) if other.rank < place.rank]
        nearest = min(levels, key=lambda level: abs(level - place.y), default=place.y)
        if abs(nearest - place.y) < ROW:
            move(place, nearest)


def _distances(blocks: list[Block]) -> Iterator[tuple[Place, Place, float]]:
    """Who must be below whom, and by how much: all in one column, and none in the frame of another process."""
    spans = [(min(p.rank for p in block), max(p.rank for p in block)) for block in blocks]
    for block in blocks:
        for upper, lower in combinations(block, 2):
            if upper.rank == lower.rank:
                yield upper, lower, upper.height + _between(upper, lower)
    for (first, span), (second, other) in combinations(zip(blocks, spans, strict=True), 2):
        pad = (FRAME if len(first) > 1 else 0) + (FRAME_TITLE if len(second) > 1 else 0)
        for upper in first:
            for lower in second:
                columns = span if len(first) > 1 else (upper.rank, upper.rank)
                others = other if len(second) > 1 else (lower.rank, lower.rank)
                if columns[0] <= others[1] and others[0] <= columns[1]:
                    yield upper, lower, upper.height + _between(upper, lower) + pad


def _between(upper: Place, lower: Place) -> float:
    return BETWEEN if upper.width and lower.width else PASSING


def _columns(places: list[Place]) -> None:
    """Widths and horizontal positions; all boxes of a column are of one width, and so are the passages in it."""
    x = 0.0
    for rank in range(max(place.rank for place in places) + 1):
        column = [place for place in places if place.rank == rank]
        width = max(place.width for place in column)
        for place in column:
            place.x, place.width = x, width
        x += width + COLUMN


def _frame(graph: Graph, block: Block) -> Frame:
    process = next(graph.stages[place.name].process for place in block if place.name in graph.stages)
    left, top = min(p.x for p in block) - FRAME, min(p.y for p in block) - FRAME_TITLE
    right, bottom = max(p.x + p.width for p in block) + FRAME, max(p.y + p.height for p in block) + FRAME
    return Frame(process, left, top, right - left, bottom - top)
