"""A replay as the command line makes it, from within a test."""

import asyncio
from pathlib import Path
from typing import Any

from emopipe.graphs.replay import replay_table
from emopipe.pipeline.graph.load import Graph, graph_from_table, read_table
from emopipe.pipeline.runtime.supervisor import RunResult, Supervisor
from tests.support.paths import ROOT

GRAPH = ROOT / "pipeline.toml"


def replay(files: list[Path], out: Path, **overrides: Any) -> RunResult:
    """Play `files` through the default graph, their results to `out`."""
    table = replay_table(read_table(GRAPH), [str(file) for file in files], [out], realtime=False)
    graph: Graph = graph_from_table(table, GRAPH, [f"{key}={value}" for key, value in overrides.items()])
    return asyncio.run(Supervisor(graph).run())
