"""Run a graph, and record what its outputs send, with its timing, as an MCAP file; or what another run publishes.

`emopipe replay FILE.mcap` runs the graph again on what was recorded, without whatever sent it: what happened in the
field is looked into at a desk. Pictures and sound are recorded only where an output that holds them is named.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from emopipe.arguments.graph import add_playing_arguments, add_set_argument
from emopipe.arguments.playing import conclude, play
from emopipe.graphs.manifest import Manifests
from emopipe.graphs.messages import RECORDER, SUFFIX, record_table, recordable, subscription_table
from emopipe.graphs.ready import find_graph
from emopipe.pipeline.access.folder import run_folder
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.load import graph_from_table, overridden, read_table
from emopipe.pipeline.text import count, instead

HELP = "run a graph, and record its messages"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "graph",
        nargs="?",
        help="the graph: a file, or the name of one that comes with emopipe (default: pipeline.toml); or an address at "
        "which a run publishes its results, such as tcp://127.0.0.1:5560",
    )
    add_set_argument(parser)
    parser.add_argument(
        "--output",
        action="append",
        default=[],
        metavar="STAGE.OUTPUT",
        dest="outputs",
        help="an output to record, such as speech.emotions; may be repeated "
        "(default: all that hold neither pictures nor sound)",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", required=True, help="the .mcap file to write")
    add_playing_arguments(parser)


def main(arguments: argparse.Namespace) -> int:
    if arguments.out.suffix != SUFFIX:
        raise EmopipeError(f"--out {arguments.out}: expected a name that ends in {SUFFIX}, by which it is replayed")
    path, table = _table(arguments.graph)
    table = overridden(table, path, arguments.overrides)
    outputs, raw = recordable(graph_from_table(table, path))
    left_out = [] if arguments.outputs else raw
    for output in arguments.outputs:
        if output not in (known := [*outputs, *raw]):
            raise EmopipeError(f"--output {output}: {path} has no such output; {instead(output, known)}")
    outputs = arguments.outputs or outputs
    if not outputs:
        raise EmopipeError(f"{path}: all its outputs hold pictures or sound; name what to record with --output")
    graph = graph_from_table(record_table(table, outputs, arguments.out), path)
    if arguments.one_process:
        graph = graph.in_one_process()
    print(f"emopipe: recording {', '.join(outputs)}", file=sys.stderr)
    if left_out:
        left = f"not recording {', '.join(left_out)}, which hold pictures or sound; --output names what to record"
        print(f"emopipe: {left}", file=sys.stderr)
    with run_folder() as state, Manifests(graph) as manifests:
        manifests.keep_identity(state)
        result = play(
            graph,
            bar=False,
            verbose=arguments.verbose,
            trace=arguments.trace,
            state=state,
            began=manifests.begin,
        )
    code = conclude(result, graph)
    recorded = result.reports[RECORDER].counters.get("recorded", 0)
    print(f"{arguments.out}: {count(recorded, 'message')} on {count(len(outputs), 'channel')}")
    return code


def _table(graph: str | None) -> tuple[str, dict[str, Any]]:
    """The table of the graph that is given, or of one that takes what another run publishes; what to call it."""
    if graph is not None and "://" in graph:
        return graph, subscription_table(graph)
    path = find_graph(None if graph is None else Path(graph))
    return str(path), read_table(path)
