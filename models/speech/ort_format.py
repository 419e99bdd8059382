"""Models in ONNX Runtime's own format, cut down to what some of their values need.

Such a file is a FlatBuffer (`InferenceSession` of ONNX Runtime's ort.fbs) that names its outputs, and all its nodes are
run whatever is asked for. Here its outputs become other values, and what they do not need goes. FlatBuffers point
forward, by offsets relative to where they stand: so lists are shortened in place, and a new one is written behind the
rest.
"""

import struct
from collections.abc import Callable, Sequence
from typing import NamedTuple

# Places of the fields in their tables.
_MODEL = 1
_MODEL_GRAPH = 7
_INITIALIZERS, _NODES, _EDGES, _GRAPH_OUTPUTS = 0, 2, 4, 6
_INITIALIZER_NAME = 0
_NODE_INDEX, _NODE_INPUTS, _NODE_OUTPUTS = 4, 8, 9
_EDGE_NODE, _EDGE_INPUTS, _EDGE_OUTPUTS = 0, 1, 2
_EDGE_END_BYTES = 12  # a node's index, and the numbers of two arguments


class _Node(NamedTuple):
    number: int
    inputs: list[str]
    outputs: list[str]


def subgraph(model: bytes, outputs: Sequence[str]) -> bytes:
    """The model that gives the values of these names, in this order, and computes nothing else.

    Only for graphs whose nodes hold no graphs of their own.

    Raises:
        KeyError: no node makes such a value.
    """
    data = _Buffer(model)
    session = data.target(0)
    graph = data.target(data.field(data.target(data.field(session, _MODEL)), _MODEL_GRAPH))
    nodes = {
        table: _Node(
            data.number(table, _NODE_INDEX), data.strings(table, _NODE_INPUTS), data.strings(table, _NODE_OUTPUTS)
        )
        for table in data.tables(graph, _NODES)
    }
    needed = _needed(list(nodes.values()), outputs)
    kept = {node.number for node in needed}
    values = {name for node in needed for name in node.inputs}
    data.keep(graph, _NODES, lambda table: nodes[table].number in kept)
    data.keep(graph, _EDGES, lambda table: data.number(table, _EDGE_NODE) in kept)
    for edge in data.tables(graph, _EDGES):
        for ends in (_EDGE_INPUTS, _EDGE_OUTPUTS):
            data.keep_ends(edge, ends, kept)
    data.keep(graph, _INITIALIZERS, lambda table: data.string(data.field(table, _INITIALIZER_NAME)) in values)
    data.replace_strings(graph, _GRAPH_OUTPUTS, outputs)
    return bytes(data.data)


def _needed(nodes: Sequence[_Node], outputs: Sequence[str]) -> list[_Node]:
    """The nodes on whose work any of these values rests."""
    makers = {name: place for place, node in enumerate(nodes) for name in node.outputs}
    found: set[int] = set()
    open_places = [makers[name] for name in outputs]
    while open_places:
        place = open_places.pop()
        if place not in found:
            found.add(place)
            open_places += [makers[name] for name in nodes[place].inputs if name in makers]
    return [nodes[place] for place in sorted(found)]


class _Buffer:
    """A FlatBuffer's bytes; a *place* is where something stands in them. A table's field that is absent is at 0."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)

    def target(self, place: int) -> int:
        """Where the offset at `place` points to."""
        return place + self._unsigned(place)

    def field(self, table: int, number: int) -> int:
        """Where a table's field of this number stands."""
        back: int = struct.unpack_from("<i", self.data, table)[0]
        size, entry = self._short(table - back), 4 + 2 * number
        offset = self._short(table - back + entry) if entry < size else 0
        return table + offset if offset else 0

    def number(self, table: int, field: int) -> int:
        place = self.field(table, field)
        return self._unsigned(place) if place else 0

    def string(self, place: int) -> str:
        start = self.target(place)
        return self.data[start + 4 : start + 4 + self._unsigned(start)].decode()

    def tables(self, table: int, field: int) -> list[int]:
        """Where the tables of a list stand."""
        return [self.target(place) for place in self._items(table, field)]

    def strings(self, table: int, field: int) -> list[str]:
        return [self.string(place) for place in self._items(table, field)]

    def keep(self, table: int, field: int, wanted: Callable[[int], bool]) -> None:
        """Shorten a list of tables to those that are `wanted`."""
        places = self._items(table, field)
        targets = [target for target in self.tables(table, field) if wanted(target)]
        for place, target in zip(places, targets, strict=False):
            self._write(place, target - place)
        if places:
            self._write(places[0] - 4, len(targets))

    def keep_ends(self, table: int, field: int, nodes: set[int]) -> None:
        """Shorten a list of an edge's ends to those at these nodes."""
        if not (place := self.field(table, field)):
            return
        start = self.target(place)
        first, count = start + 4, self._unsigned(start)
        ends = [
            bytes(self.data[at : at + _EDGE_END_BYTES])
            for at in range(first, first + count * _EDGE_END_BYTES, _EDGE_END_BYTES)
            if self._unsigned(at) in nodes
        ]
        self.data[first : first + len(ends) * _EDGE_END_BYTES] = b"".join(ends)
        self._write(start, len(ends))

    def replace_strings(self, table: int, field: int, texts: Sequence[str]) -> None:
        """Put another list of strings in the place of one."""
        self.data += bytes(-len(self.data) % 4)
        place = self.field(table, field)
        self._write(place, len(self.data) - place)
        first = len(self.data) + 4
        self.data += struct.pack("<I", len(texts)) + bytes(4 * len(texts))
        for number, text in enumerate(texts):
            place = first + 4 * number
            self._write(place, len(self.data) - place)
            encoded = text.encode()
            self.data += struct.pack("<I", len(encoded)) + encoded + bytes(1 + -(len(encoded) + 1) % 4)

    def _items(self, table: int, field: int) -> list[int]:
        """Where the items of a list of offsets stand."""
        if not (place := self.field(table, field)):
            return []
        start = self.target(place)
        return [start + 4 + 4 * number for number in range(self._unsigned(start))]

    def _unsigned(self, place: int) -> int:
        value: int = struct.unpack_from("<I", self.data, place)[0]
        return value

    def _short(self, place: int) -> int:
        value: int = struct.unpack_from("<H", self.data, place)[0]
        return value

    def _write(self, place: int, value: int) -> None:
        struct.pack_into("<I", self.data, place, value)
