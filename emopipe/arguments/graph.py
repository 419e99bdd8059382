"""The options of all verbs that take a graph: which one, what of it to override, and how to play it."""

import argparse
from pathlib import Path


def add_graph_arguments(parser: argparse.ArgumentParser) -> None:
    """Which graph, and what of it to override."""
    text = "the graph: a file, or the name of one that comes with emopipe, such as webcam (default: pipeline.toml)"
    parser.add_argument("graph", nargs="?", type=Path, help=text)
    add_set_argument(parser)


def add_set_argument(parser: argparse.ArgumentParser, example: str = "stages.capture.uri=clip.mp4") -> None:
    """What of a graph to override."""
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help=f"override one key of the graph, such as {example}; may be repeated",
    )


def add_playing_arguments(parser: argparse.ArgumentParser) -> None:
    """How to play a graph."""
    parser.add_argument(
        "--trace",
        type=Path,
        metavar="FILE",
        help="write down the way of every message, as JSON for https://ui.perfetto.dev",
    )
    parser.add_argument("--one-process", action="store_true", help="all stages in one process, not one each")
    parser.add_argument("--verbose", action="store_true", help="show what the stages' processes log, and tracebacks")
