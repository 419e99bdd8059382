"""Which node each process of a graph in several copies goes to: a copy keeps together, copies go round the nodes.

Ray packs processes that ask for next to nothing onto few nodes, or spreads them with no regard to which belong
together; so the nodes are chosen here, and Ray is asked for just these.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction

from emopipe.pipeline.cluster.ray_cluster import Node, process_gpus
from emopipe.pipeline.graph.spec import Graph, copy_of


def spread(graph: Graph, processes: Sequence[str], nodes: Sequence[Node]) -> dict[str, str]:
    """The node of each process, by its id; empty for a graph in one copy, which Ray packs.

    By the cores of the nodes every one gets its share of the processes. A copy is divided where labels say so, or where
    no node has the GPUs for all of it. A process that fits nowhere any more is left out, for Ray to find it a place.
    """
    copies: dict[str, list[str]] = {}
    for process in processes:
        copies.setdefault(copy_of(process), []).append(process)
    if len(copies) < 2:
        return {}
    room = _Room(graph, nodes)
    for names in copies.values():
        if not room.take(names):
            demanding = sorted(names, key=lambda name: (name not in graph.remote.labels, -process_gpus(graph, name)))
            for name in demanding:
                room.take([name], beside=names)
    return room.chosen


class _Room:
    """What is left on the nodes, and what they have been given."""

    def __init__(self, graph: Graph, nodes: Sequence[Node]) -> None:
        self.chosen: dict[str, str] = {}
        self._graph = graph
        self._nodes = sorted((node for node in nodes if node.cpus), key=lambda node: node.address)
        self._gpus = {node.id: node.gpus for node in nodes}
        self._load: Counter[str] = Counter()

    def take(self, names: Sequence[str], beside: Sequence[str] = ()) -> bool:
        """Give all of `names` one node, one that has others of `beside` if it can be; False where none fits."""
        gpus = sum(process_gpus(self._graph, name) for name in names)
        labels = [self._graph.remote.labels.get(name, {}) for name in names]
        fitting = [node for node in self._nodes if gpus <= self._gpus[node.id] and _has(node, labels)]
        if not fitting:
            return False
        near = Counter(self.chosen[name] for name in beside if name in self.chosen)

        def cost(node: Node) -> tuple[int, Fraction]:
            return -near[node.id], (self._load[node.id] + len(names)) / Fraction(node.cpus)

        node = min(fitting, key=cost)
        self.chosen |= dict.fromkeys(names, node.id)
        self._load[node.id] += len(names)
        self._gpus[node.id] -= gpus
        return True


def _has(node: Node, labels: Sequence[Mapping[str, str]]) -> bool:
    return all(wanted.items() <= node.labels.items() for wanted in labels)
