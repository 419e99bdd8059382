"""Runs of the default graph on a recording, for benchmarks."""

import asyncio
from pathlib import Path
from typing import Any

from benchmarks.commands import ROOT
from emopipe.graphs.replay import replay_table
from emopipe.pipeline.clock import SECOND
from emopipe.pipeline.graph.load import graph_from_table, read_table
from emopipe.pipeline.runtime.result import RunResult
from emopipe.pipeline.runtime.supervisor import Supervisor

GRAPH = ROOT / "pipeline.toml"  # the default graph of this checkout, whatever lies in the current folder


def default_table(layout: str | None) -> dict[str, Any]:
    """The default graph in a layout, its own where that is None."""
    table = read_table(GRAPH)
    if layout is not None:
        table["pipeline"]["layout"] = layout
    return table


def replay_clip(clip: Path, times: int, out: Path, *, layout: str | None, realtime: bool = False) -> RunResult:
    """Replay a recording, `times` over, with results at `out`."""
    table = replay_table(default_table(layout), [str(clip)], [out], realtime=realtime)
    table["stages"]["capture"]["loop"] = times
    return asyncio.run(Supervisor(graph_from_table(table, GRAPH)).run())


def cpu_seconds(result: RunResult) -> float:
    """The processor time of all processes of a run."""
    return sum(process.cpu for process in result.processes.values()) / SECOND
