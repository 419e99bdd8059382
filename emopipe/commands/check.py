"""Check a graph, and say everything that is wrong with it, before any process starts."""

import argparse

from emopipe.commands.graph_arguments import add_graph_arguments
from emopipe.graphs.ready import find_graph
from emopipe.pipeline.errors import GraphError
from emopipe.pipeline.graph.load import load_graph
from emopipe.pipeline.text import count

HELP = "say what is wrong with a graph"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_graph_arguments(parser)


def main(arguments: argparse.Namespace) -> int:
    try:
        path = find_graph(arguments.graph)
        graph = load_graph(path, arguments.overrides)
    except GraphError as error:  # not an error of this command, but what it was asked for
        print(error)
        return error.exit_code
    parts = [(len(graph.stages), "stage"), (len(graph.links), "link"), (len(graph.processes), "process")]
    print(f"{path}: ok: {', '.join(count(number, noun) for number, noun in parts)}")
    return 0
