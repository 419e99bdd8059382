"""Draw a graph: as Mermaid text, or as an SVG picture."""

import argparse
from pathlib import Path

from emopipe.arguments.graph import add_graph_arguments
from emopipe.graphs.ready import find_graph
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.drawing import mermaid, svg
from emopipe.pipeline.graph.load import load_graph
from emopipe.pipeline.graph.shards import sharded
from emopipe.stages.sinks.line_file import path_problem

HELP = "draw a graph as Mermaid or SVG"
FORMATS = {"mermaid": mermaid, "svg": svg}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_graph_arguments(parser)
    parser.add_argument("--format", choices=FORMATS, help="default: what the name of --out says, else mermaid")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write to a file instead of the terminal")


def main(arguments: argparse.Namespace) -> int:
    out: Path | None = arguments.out
    chosen = arguments.format or ("svg" if out is not None and out.suffix == ".svg" else "mermaid")
    picture = FORMATS[chosen](sharded(load_graph(find_graph(arguments.graph), arguments.overrides)))
    if out is None:
        print(picture, end="")
        return 0
    if problem := path_problem(str(out)):
        raise EmopipeError(f"--out {problem}")
    try:
        out.write_text(picture, encoding="utf-8")
    except OSError as error:
        raise EmopipeError(f"--out {out}: cannot be written: {error.strerror or error}") from None
    return 0
