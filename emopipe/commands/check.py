"""Check a graph, and say everything that is wrong with it, before any process starts."""

import argparse
from pathlib import Path

from emopipe.paths import default_graph
from emopipe.pipeline.errors import GraphError
from emopipe.pipeline.graph.load import load_graph
from emopipe.pipeline.graph.text import count

HELP = "say what is wrong with a graph"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_graph_arguments(parser)


def add_graph_arguments(parser: argparse.ArgumentParser) -> None:
    """Which graph, and what of it to override."""
    parser.add_argument("graph", nargs="?", type=Path, help="the graph (default: pipeline.toml)")
    add_set_argument(parser)


def add_set_argument(parser: argparse.ArgumentParser) -> None:
    """What of a graph to override."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="override one key of the graph, such as stages.capture.uri=clip.mp4; may be repeated",
    )


def main(arguments: argparse.Namespace) -> int:
    path = arguments.graph or default_graph()
    try:
        graph = load_graph(path, arguments.overrides)
    except GraphError as error:  # not an error of this command, but what it was asked for
        print("\n".join(error.problems))
        return error.exit_code
    parts = [(len(graph.stages), "stage"), (len(graph.links), "link"), (len(graph.processes), "process")]
    print(f"{path}: ok: {', '.join(count(number, noun) for number, noun in parts)}")
    return 0
