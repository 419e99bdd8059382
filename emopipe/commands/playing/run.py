"""Run a graph until its sources end or Ctrl-C.

A replay that is shown on the console ends with a table of who expressed what, and when. In live mode Ctrl-C lets what
is under way come to its end, and the files are whole; a second one stops at once.
"""

import argparse
from pathlib import Path

from emopipe.arguments.cluster import add_on_argument, need_ray
from emopipe.arguments.graph import add_graph_arguments, add_playing_arguments
from emopipe.arguments.outputs import need_writable, write_json
from emopipe.arguments.playing import conclude, need_apart_from, play
from emopipe.graphs.manifest import Manifests
from emopipe.graphs.ready import find_graph
from emopipe.graphs.replay import keep_results
from emopipe.pipeline.access.folder import run_folder
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.load import Graph, graph_from_table, overridden, read_table
from emopipe.pipeline.graph.shards import sharded
from emopipe.pipeline.runtime.processes.launcher import Launcher
from emopipe.tables.results import print_summary
from emopipe.tables.run import figures

HELP = "run a graph"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_graph_arguments(parser)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all counts and latencies, as JSON")
    add_playing_arguments(parser)
    add_on_argument(parser)


def main(arguments: argparse.Namespace) -> int:
    path = find_graph(arguments.graph)
    table = overridden(read_table(path), path, arguments.overrides)
    with run_folder() as folder:
        results = folder / "results.jsonl"
        kept = keep_results(table, results)
        graph = graph_from_table(table, path)
        if arguments.one_process:
            graph = graph.in_one_process()
        launcher = _launcher(arguments, graph)
        if arguments.json is not None:
            need_apart_from(graph, arguments.json, "--json")
            need_writable(arguments.json, "--json")
        with Manifests(graph, without=[results]) as manifests:
            manifests.keep_identity(folder)
            result = play(
                graph,
                bar=False,
                verbose=arguments.verbose,
                launcher=launcher,
                trace=arguments.trace,
                state=folder,
                began=manifests.begin,
            )
        code = conclude(result, graph)
        if kept:
            print_summary(results)
    if arguments.json is not None:
        write_json(arguments.json, figures(result, graph), "--json")
    return code


def _launcher(arguments: argparse.Namespace, graph: Graph) -> Launcher | None:
    """Who starts the processes, where it is not this host.

    Raises:
        EmopipeError: Ray is not installed, or one process cannot be spread over a cluster.
    """
    if arguments.on is None:
        return None
    if arguments.one_process:
        raise EmopipeError("--on: a cluster plays several processes; leave out --one-process")
    need_ray()
    from emopipe.pipeline.cluster.ray_launcher import RayLauncher

    return RayLauncher(arguments.on, len(sharded(graph).processes), verbose=arguments.verbose)
