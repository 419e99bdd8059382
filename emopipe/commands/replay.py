"""Replay recordings through a graph, losing nothing, and say what the faces and voices in them express.

The graph's source becomes a file capture of the given recordings, and its consoles become the result files.
"""

import argparse
import re
import tempfile
from pathlib import Path

from emopipe.commands.graph_arguments import add_playing_arguments, add_set_argument
from emopipe.commands.playing import conclude, play
from emopipe.graphs.ready import find_graph
from emopipe.graphs.replay import replay_table
from emopipe.pipeline.errors import GraphError
from emopipe.pipeline.graph.load import graph_from_table, read_table
from emopipe.tables.results import print_summary

FILM_SOUND = re.compile(r"stages\.out\d+\.sound")
HELP = "replay recordings, without loss"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="recordings: anything that FFmpeg decodes")
    parser.add_argument("--graph", type=Path, help="the graph to replay them through (default: pipeline.toml)")
    parser.add_argument("--realtime", action="store_true", help="at the recording's own pace, not as fast as possible")
    parser.add_argument("--page", action="store_true", help="watch in a browser meanwhile, at the recording's own pace")
    parser.add_argument(
        "--out",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="results as .jsonl or .csv, a report as .html, the recording with what was found drawn in as .mp4 "
        "(with {stream} in its name where there are several recordings); may be repeated",
    )
    add_set_argument(parser)
    add_playing_arguments(parser)


def main(arguments: argparse.Namespace) -> int:
    path = find_graph(arguments.graph)
    with tempfile.TemporaryDirectory(prefix="emopipe-") as directory:
        outs = list(arguments.out)
        results = next((out for out in outs if out.suffix == ".jsonl"), None)
        if results is None:
            outs.append(results := Path(directory) / "results.jsonl")
        realtime = arguments.realtime or arguments.page
        table = replay_table(read_table(path), arguments.files, outs, realtime=realtime, page=arguments.page)
        try:
            graph = graph_from_table(table, path, arguments.overrides)
        except GraphError as error:
            said = [by_argument(problem, path, outs) for problem in error.problems]
            # A film takes the sound of the recordings, and would repeat what the capture says of them.
            raise GraphError([text for text in dict.fromkeys(said) if not FILM_SOUND.search(text)] or said) from None
        if arguments.one_process:
            graph = graph.in_one_process()
        code = conclude(play(graph, bar=True, verbose=arguments.verbose), graph)
        print_summary(results)
    return code


def by_argument(problem: str, graph: Path, outs: list[Path]) -> str:
    """A problem of the graph that `replay_table` made, said of the argument that it stems from."""
    text = problem.removeprefix(f"{graph}: ")
    if found := re.match(r"stages\.out\d+\.path: ", text):  # what follows begins with the path
        text = f"--out {text[found.end() :]}"
    elif found := re.match(r"stages\.out(\d+): ", text):
        text = f"--out {outs[int(found[1])]}: {text[found.end() :]}"
    elif found := re.match(r"stages\.\w+\.uri(\[\d+\])?: ", text):
        text = text[found.end() :]
    else:
        return problem
    return re.sub(r"stages\.out(\d+)", lambda match: f"--out {outs[int(match[1])]}", text)
