"""Run a graph until its sources end or Ctrl-C.

In live mode Ctrl-C lets what is under way come to its end, and the files are whole; a second one stops at once.
"""

import argparse
from pathlib import Path

from emopipe.commands.check import add_graph_arguments
from emopipe.commands.outputs import need_writable, write_json
from emopipe.commands.playing import conclude, play
from emopipe.paths import default_graph
from emopipe.pipeline.graph.load import Graph, load_graph
from emopipe.tables.run import figures

HELP = "run a graph"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_graph_arguments(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all counts and latencies, as JSON")
    add_playing_arguments(parser)


def add_playing_arguments(parser: argparse.ArgumentParser) -> None:
    """The options that everything which plays a graph has in common."""
    parser.add_argument("--one-process", action="store_true", help="all stages in one process, not one each")
    parser.add_argument("--verbose", action="store_true", help="show what the stages' processes log, and tracebacks")


def main(arguments: argparse.Namespace) -> int:
    path = arguments.graph or default_graph()
    graph = load_graph(path, arguments.overrides)
    if arguments.one_process:
        graph = load_graph(path, [*arguments.overrides, *in_one_process(graph)])
    if arguments.json is not None:
        need_writable(arguments.json, "--json")
    outcome = play(graph, bar=False, verbose=arguments.verbose)
    if arguments.json is not None:
        write_json(arguments.json, figures(outcome, graph), "--json")
    return conclude(outcome, graph)


def in_one_process(graph: Graph) -> list[str]:
    """The overrides that put all stages of a graph into one process."""
    return [f'stages.{name}.process="all"' for name in graph.stages]
