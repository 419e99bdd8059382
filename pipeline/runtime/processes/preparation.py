"""What the worker processes of a run are to prepare, and where their files are."""

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from emopipe.pipeline.graph.load import Graph
from emopipe.pipeline.graph.registry import import_path
from emopipe.pipeline.port import LinkId
from emopipe.pipeline.runtime.control import Prepare, StagePlan
from emopipe.pipeline.runtime.processes.remote_process import link_address


class Places(NamedTuple):
    """Where the files of workers are: `sockets` for the time of the run, `state` for the stages' journals."""

    sockets: Path
    state: Path


class Preparation:
    """What each worker of a graph is to prepare.

    Args:
        finished: streams that are not to be played.
        traced: whether to report what stages take and send.

    Attributes:
        public_keys: of all processes, once they have said hello.
    """

    def __init__(self, graph: Graph, places: Places, finished: Collection[str], *, traced: bool) -> None:
        self._graph = graph
        self._places = places
        self._finished = finished
        self._traced = traced
        self.public_keys: Mapping[str, str] = {}

    def of(self, name: str, received: dict[LinkId, int], epochs: dict[str, int]) -> Prepare:
        """What one is to prepare; `received` of one that is restarted, `epochs` of streams that are."""
        graph = self._graph
        names = graph.processes[name]
        stages = [graph.stages[each] for each in names]
        links = [link for link in graph.links if link.id.sender in names or link.id.receiver in names]
        senders = {link.id: graph.stages[link.id.sender].process for link in links if link.remote}
        return Prepare(
            mode=graph.mode,
            stages=[StagePlan(stage.name, stage.use, stage.table, stage.carried) for stage in stages],
            links=links,
            path=[str(folder) for folder in import_path(graph.path)],
            sockets=f"ipc://{self._places.sockets}/{list(graph.processes).index(name)}-",
            state=str(self._places.state),
            finished=list(self._finished),
            traced=self._traced,
            received=received,
            epochs=epochs,
            address=link_address(graph.remote),
            turns={stream: shard for stream, shard in graph.turns.items() if stream not in self._finished},
            senders={link: self.public_keys[process] for link, process in senders.items()},
        )
