"""Measure emopipe on this machine: replay, latency, live, transport, batching, startup, memory, peers, flame.

`emopipe bench VERB --help` says what each measures. The benchmarks are not part of an installed emopipe: they need a
checkout of the sources.
"""

import argparse
import importlib
from pathlib import Path

import emopipe
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.registry import make_importable

HELP = "measure emopipe on this machine (in a checkout of the sources)"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "arguments", nargs=argparse.REMAINDER, metavar="VERB …", help="what to measure, and the options of that"
    )


def main(arguments: argparse.Namespace) -> int:
    root = Path(emopipe.__file__).resolve().parents[1]
    # The folder lies beside the package: it is no room of it, and an installed emopipe has no use for it.
    if not (root / "benchmarks" / "verbs").is_dir():
        raise EmopipeError(
            "bench needs a checkout of emopipe's sources, in which the benchmarks are; an installed emopipe has none"
        )
    make_importable([root])
    return int(importlib.import_module("benchmarks.__main__").main(arguments.arguments))
