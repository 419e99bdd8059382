"""Replay recordings through a graph, losing nothing, and say what the faces and voices in them express.

The graph's source becomes a file capture of the given recordings, and its consoles become the result files. Of recorded
messages (.mcap) the graph takes what it would have made of them. With `--check` stored results are derived again.
"""

import argparse
import contextlib
import filecmp
import sys
from pathlib import Path

from emopipe.arguments.graph import add_playing_arguments, add_set_argument
from emopipe.arguments.playing import conclude, play
from emopipe.graphs.comparison import first_difference
from emopipe.graphs.geometry import with_geometry
from emopipe.graphs.manifest import Manifests, manifest_path, read_manifest
from emopipe.graphs.messages import PLAYER, recordings_table
from emopipe.graphs.ready import find_graph
from emopipe.graphs.resume import RunState
from emopipe.graphs.verification import Derivation, derive
from emopipe.pipeline.access.folder import run_folder
from emopipe.pipeline.errors import EmopipeError, GraphError, Problem, StageFailed
from emopipe.pipeline.graph.identity import identify
from emopipe.pipeline.graph.load import Graph, graph_from_table, read_table
from emopipe.pipeline.runtime.result import RunResult
from emopipe.tables.results import print_summary

HELP = "replay recordings, without loss"
DIFFERENT = 1  # the exit code where results, or what they are made of, are not what they were


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "files",
        nargs="*",
        metavar="FILE",
        help="recordings: anything that FFmpeg decodes, or messages that were recorded (.mcap)",
    )
    parser.add_argument(
        "--check",
        type=Path,
        metavar="RESULTS",
        help="run the recordings of these results (.jsonl) again, and name the first difference; "
        "recordings that lie elsewhere now are given as FILE",
    )
    parser.add_argument("--graph", type=Path, help="the graph to replay them through (default: pipeline.toml)")
    parser.add_argument("--realtime", action="store_true", help="at the recording's own pace, not as fast as possible")
    parser.add_argument(
        "--geometry",
        action="store_true",
        help="also measure how heads are held, where eyes look, blinks, and what else moves in each face",
    )
    parser.add_argument("--page", action="store_true", help="watch in a browser meanwhile, at the recording's own pace")
    parser.add_argument(
        "--out",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="results as .jsonl, .csv or .parquet, a report as .html; of each recording (with {stream} in the name "
        "where there are several) annotations as .eaf or .TextGrid, subtitles as .srt or .vtt, and as .mp4 the film "
        "with what was found drawn in; may be repeated",
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with a replay that was interrupted: the same command, graph, recordings and models; "
        "results are then those of one that was not",
    )
    add_set_argument(parser)
    add_playing_arguments(parser)


def main(arguments: argparse.Namespace) -> int:
    if arguments.check is not None:
        with run_folder() as folder:
            return _check(arguments, folder)
    if not arguments.files:
        raise EmopipeError("name a recording to replay: emopipe replay clip.mp4")
    path = find_graph(arguments.graph)
    if arguments.resume and not arguments.out:
        raise EmopipeError("--resume: name the results to go on with, by --out as in the run that was interrupted")
    with run_folder() as folder, contextlib.ExitStack() as stack:
        outs = list(arguments.out)
        state = stack.enter_context(RunState(outs[0], resume=arguments.resume)) if outs else None
        results = next((out for out in outs if out.suffix == ".jsonl"), None)
        if results is None:
            outs.append(results := (state.folder if state is not None else folder) / "results.jsonl")
        realtime = arguments.realtime or arguments.page
        table, left_out = recordings_table(
            read_table(path), arguments.files, outs, realtime=realtime, page=arguments.page
        )
        if arguments.geometry:
            table = with_geometry(table, arguments.files)
        if left_out:
            print(f"emopipe: not run, since nothing recorded can feed them: {', '.join(left_out)}", file=sys.stderr)
        try:
            graph = graph_from_table(table, path, arguments.overrides)
        except GraphError as error:
            # A film takes the sound of the recordings, and would repeat what the capture says of them.
            problems = [each for each in error.problems if _key(each) != "sound"] or error.problems
            lines = dict.fromkeys(by_argument(each, path, outs) for each in problems)
            raise EmopipeError("\n".join(lines)) from None
        if arguments.one_process:
            graph = graph.in_one_process()
        with Manifests(graph, without=[] if results in arguments.out else [results]) as manifests:
            result = _play(graph, arguments, state, manifests)
        code = conclude(result, graph)
        try:
            print_summary(results)
        except FileNotFoundError:
            raise EmopipeError(f"{results} has vanished meanwhile: there is no summary") from None
    return code


def _play(graph: Graph, arguments: argparse.Namespace, state: RunState | None, manifests: Manifests) -> RunResult:
    if state is not None:
        state.begin(manifests.run or identify(graph))
        manifests.keep_identity(state.folder)
    try:
        return play(
            graph,
            bar=True,
            verbose=arguments.verbose,
            trace=arguments.trace,
            state=state.folder if state is not None else None,
            began=manifests.begin,
        )
    except (KeyboardInterrupt, StageFailed):
        if state is not None and state.begun and not graph.unrepeatable:
            print("emopipe: the same command with --resume goes on from here", file=sys.stderr)
        raise


def by_argument(problem: Problem, graph: Path, outs: list[Path]) -> str:
    """A problem of the graph that `replay_table` made, said of the argument that it stems from."""
    arguments = {f"out{number}": f"--out {out}" for number, out in enumerate(outs)}
    text = problem.sentence(arguments.get(problem.other, ""))
    if problem.stage in arguments and problem.key in ("", "path"):
        return f"--out {text}" if problem.key else f"{arguments[problem.stage]}: {text}"  # a path's begins with it
    if problem.stage and (_key(problem) == "uri" or problem.stage == PLAYER):
        return text
    return f"{graph}: {problem}"


def _key(problem: Problem) -> str:
    """The setting that a problem is about, without the place in a list."""
    return problem.key.partition("[")[0]


def _check(arguments: argparse.Namespace, folder: Path) -> int:
    """Derive the results `--check` again, in `folder`, and compare them; the exit code.

    What has changed is said before the run: with damaged weights there may be none.

    Raises:
        EmopipeError: there are no such results, they cannot be derived again, or their manifest does not fit.
    """
    stored: Path = arguments.check
    if arguments.out or arguments.page or arguments.realtime or arguments.geometry:
        raise EmopipeError("--check writes and shows no results; leave out --out, --page, --realtime and --geometry")
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
    same = filecmp.cmp(stored, again, shallow=False)
    how = "to the byte" if same else "stream by stream; those that ran at once stand in another order"
    what = ", and so is all that it is made of" if manifest_path(stored).exists() and not derivation.versions else ""
    print(f"{stored}: the same: {lines} results, {how}{what}")
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
