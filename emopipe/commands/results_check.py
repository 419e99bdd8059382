"""Run a recording again against stored results, and name the first difference: `emopipe replay --check`."""

import argparse
import sys
from pathlib import Path

from emopipe.commands.playing import conclude, play
from emopipe.graphs.comparison import first_difference
from emopipe.graphs.manifest import manifest_path, read_manifest
from emopipe.graphs.messages import recordings_table
from emopipe.graphs.ready import find_graph
from emopipe.graphs.verification import Derivation, derive
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.load import Graph, graph_from_table, read_table

DIFFERENT = 1  # the exit code where results, or what they are made of, are not what they were


def check_results(arguments: argparse.Namespace, folder: Path) -> int:
    """Derive the results `--check` again, in `folder`, and compare them; the exit code.

    What has changed is said before the run: with damaged weights there may be none.

    Raises:
        EmopipeError: there are no such results, they cannot be derived again, or their manifest does not fit.
    """
    stored: Path = arguments.check
    if arguments.out or arguments.page or arguments.realtime:
        raise EmopipeError("--check writes and shows no results; leave out --out, --page and --realtime")
    if not stored.is_file():
        raise EmopipeError(f"--check {stored}: no such file; expected results of a replay, such as results.jsonl")
    again = folder / "again.jsonl"
    derivation = _derivation(stored, again, arguments)
    for sentence in derivation.changed + derivation.versions:
        print(f"emopipe: {sentence}", file=sys.stderr)
    graph = derivation.graph.in_one_process() if arguments.one_process else derivation.graph
    code = conclude(play(graph, bar=True, verbose=arguments.verbose), graph)
    difference = first_difference(stored, again)
    if difference is not None:
        print(f"{stored}: different: {difference}")
        return DIFFERENT
    if derivation.changed:
        print(f"{stored}: the same results, though not of the same files")
        return DIFFERENT
    with stored.open("rb") as file:
        lines = sum(1 for _ in file)
    what = " and so is all that it is made of" if manifest_path(stored).exists() and not derivation.versions else ""
    print(f"{stored}: the same: {lines} results, to the byte{what and ',' + what}")
    return code


def _derivation(stored: Path, again: Path, arguments: argparse.Namespace) -> Derivation:
    manifest = read_manifest(stored)
    other = None
    if manifest is None or arguments.graph is not None or arguments.overrides:
        other = _graph(arguments, again, stored)
    if manifest is None:
        assert other is not None
        print(f"emopipe: {manifest_path(stored)} is not there: only the results are compared", file=sys.stderr)
        return Derivation(other, [], [])
    return derive(stored, manifest, arguments.files, again, other)


def _graph(arguments: argparse.Namespace, again: Path, stored: Path) -> Graph:
    """The graph that was given, on the recordings that were given."""
    if not arguments.files:
        raise EmopipeError(
            f"--check {stored}: name the recordings that it is of, since no manifest says it: "
            f"emopipe replay --check {stored} RECORDING"
        )
    path = find_graph(arguments.graph)
    table, _ = recordings_table(read_table(path), arguments.files, [again], realtime=False)
    return graph_from_table(table, path, arguments.overrides)
