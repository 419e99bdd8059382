"""Replay recordings through a graph, losing nothing, and say what the faces and voices in them express.

The graph's source becomes a file capture of the given recordings, and its consoles become the result files.
"""

import argparse
import re
import tempfile
from pathlib import Path
from typing import Any

from emopipe.commands.check import add_set_argument
from emopipe.commands.playing import conclude, play
from emopipe.commands.run import add_playing_arguments, in_one_process
from emopipe.paths import default_graph
from emopipe.pipeline.errors import EmopipeError, GraphError
from emopipe.pipeline.graph.load import graph_from_table, read_table
from emopipe.stages.mp4.paths import STREAM_SLOT
from emopipe.tables.results import print_summary

FILM_SOUND = re.compile(r"stages\.out\d+\.sound")
REPLAYED = "A replay by emopipe: every picture and every moment of sound that could be decoded was looked at."
NAMED = 3  # recordings that a report's title names
HELP = "replay recordings, without loss"
SINKS = {".jsonl": "jsonl", ".csv": "csv", ".mp4": "overlay", ".html": "report"}


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
    path = arguments.graph or default_graph()
    with tempfile.TemporaryDirectory(prefix="emopipe-") as directory:
        outs = list(arguments.out)
        results = next((out for out in outs if out.suffix == ".jsonl"), None)
        if results is None:
            outs.append(results := Path(directory) / "results.jsonl")
        realtime = arguments.realtime or arguments.page
        table = replay_table(read_table(path), arguments.files, outs, realtime=realtime, page=arguments.page)
        try:
            graph = graph_from_table(table, path, arguments.overrides)
            if arguments.one_process:
                graph = graph_from_table(table, path, [*arguments.overrides, *in_one_process(graph)])
        except GraphError as error:
            said = [in_words_of_the_command(problem, path, outs) for problem in error.problems]
            # A film takes the sound of the recordings, and would repeat what the capture says of them.
            raise GraphError([text for text in dict.fromkeys(said) if not FILM_SOUND.search(text)] or said) from None
        code = conclude(play(graph, bar=True, verbose=arguments.verbose), graph)
        print_summary(results)
    return code


def replay_table(
    table: dict[str, Any], files: list[str], outs: list[Path], *, realtime: bool, page: bool = False
) -> dict[str, Any]:
    """A graph's table with its source replaced by `files`, its consoles by `outs`, and with a page where wanted.

    Raises:
        EmopipeError: the graph has no single source, or a result file is of an unknown kind.
    """
    stages = table.get("stages")
    if not isinstance(stages, dict) or not all(isinstance(stage, dict) for stage in stages.values()):
        return table  # whoever loads it says what is wrong
    sources = [name for name, stage in stages.items() if "inputs" not in stage]
    if len(sources) != 1:
        raise EmopipeError(f"a graph to replay through needs one source to put the recordings in, not {len(sources)}")
    process = {key: value for key, value in stages[sources[0]].items() if key == "process"}
    stages[sources[0]] = {"use": "file-capture", "uri": files, "realtime": realtime, **process}
    consoles = [name for name, stage in stages.items() if stage.get("use") == "console"]
    shown = stages[consoles[0]].get("inputs") if consoles else None
    inputs = shown if isinstance(shown, dict) else {"emotions": "fusion.emotions"}
    for name in consoles:
        del stages[name]
    for number, out in enumerate(outs):
        stages[f"out{number}"] = sink(out, files, inputs, f"{sources[0]}.video")
    if page and not any(stage.get("use") == "page" for stage in stages.values()):
        # The recording waits for its viewer: a short one would be over before the browser is open.
        stages["page"] = {"use": "page", "inputs": {**inputs, "video": f"{sources[0]}.video"}, "viewers": 1}
    if isinstance(pipeline := table.setdefault("pipeline", {}), dict):
        pipeline |= {"name": "replay", "mode": "replay"}
    return table


def sink(out: Path, files: list[str], inputs: dict[str, Any], video: str) -> dict[str, Any]:
    """The table of the stage that writes `out`; `inputs` bring the results, `video` the pictures that belong to them.

    Raises:
        EmopipeError: its kind is unknown, or several recordings would share a film.
    """
    use = SINKS.get(out.suffix)
    if use is None:
        *others, last = SINKS
        raise EmopipeError(f"--out {out}: expected a name that ends in {', '.join(others)} or {last}")
    table: dict[str, Any] = {"use": use, "path": str(out), "inputs": inputs}
    if use == "overlay":
        if len(files) > 1 and STREAM_SLOT not in out.name:
            raise EmopipeError(
                f"--out {out}: {len(files)} recordings need a film each; put {STREAM_SLOT} into its name, "
                f"which stands for the recording's: {out.with_stem(f'{out.stem}-{STREAM_SLOT}')}"
            )
        table |= {"inputs": {**inputs, "video": video}, "sound": files}
    elif use == "report":
        names = ", ".join(Path(file).name for file in files[:NAMED])
        more = f" and {len(files) - NAMED} more" if len(files) > NAMED else ""
        title = f"What was expressed in {names}{more}"
        table |= {"inputs": {**inputs, "video": video}, "title": title, "notes": [REPLAYED]}
    return table


def in_words_of_the_command(problem: str, graph: Path, outs: list[Path]) -> str:
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
