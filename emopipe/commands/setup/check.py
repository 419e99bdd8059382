"""Check a graph, and say everything that is wrong with it, before any process starts."""

import argparse

from emopipe.arguments.graph import add_graph_arguments
from emopipe.graphs.ready import find_graph
from emopipe.pipeline.errors import GraphError
from emopipe.pipeline.graph.load import check_unimported, load_graph
from emopipe.pipeline.graph.memory import free_memory_mb, shortage
from emopipe.pipeline.graph.process_layout import cores, explain
from emopipe.pipeline.graph.shards import explain_shards, sharded
from emopipe.pipeline.text import count, show

HELP = "say what is wrong with a graph"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_graph_arguments(parser)
    parser.add_argument(
        "--no-import", action="store_true", help="import no stage of the user's own, and say which were not looked into"
    )


def main(arguments: argparse.Namespace) -> int:
    try:
        path = find_graph(arguments.graph)
        if arguments.no_import:
            own = check_unimported(path, arguments.overrides)
            rest = (
                f"; not looked into: {', '.join(f'{name} ({show(use)})' for name, use in own.items())}" if own else ""
            )
            print(f"{path}: ok{rest}")
            return 0
        given = load_graph(path, arguments.overrides)
    except GraphError as error:  # not an error of this command, but what it was asked for
        print(error)
        return error.exit_code
    graph = sharded(given)
    parts = [(len(graph.stages), "stage"), (len(graph.links), "link"), (len(graph.processes), "process")]
    print(f"{path}: ok: {', '.join(count(number, noun) for number, noun in parts)}")
    if too_little := shortage(graph, free_memory_mb()):
        print(f"{path}: {too_little}")
    if graph.layout == "auto":
        print("\n".join(explain(graph, cores())))
    if given.shards > 1:
        print("\n".join(explain_shards(given)))
    return 0
