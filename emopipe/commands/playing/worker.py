"""Run a part of a graph that somebody plays on another host: the stages whose process has this worker's key there.

The graph says `[pipeline.control] endpoint = "tcp://HOST:PORT"` and `[processes.NAME] remote = "KEY.key"`. Who plays
it decides which stages run here, and so which files they read and write: connect only to whom you would let in by SSH.
"""

import argparse
from pathlib import Path

from emopipe.pipeline.access.allow_list import expand, read_key
from emopipe.pipeline.access.keys import read_pair
from emopipe.pipeline.cluster.remote_worker import serve

HELP = "run a part of a graph that is played on another host"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--connect", required=True, metavar="tcp://HOST:PORT", help="where the graph is played")
    parser.add_argument("--key", required=True, type=Path, help="file of this worker's secret key (emopipe keys new)")
    parser.add_argument("--server-key", required=True, help="public key of whoever plays the graph, or its file")
    parser.add_argument(
        "--address", default="", help="this host's address as the others reach it (default: the one towards HOST)"
    )
    parser.add_argument("--once", action="store_true", help="end after one run")


def main(arguments: argparse.Namespace) -> int:
    pair = read_pair(expand(str(arguments.key)))
    serve(arguments.connect, read_key(arguments.server_key), pair, arguments.address, once=arguments.once)
    return 0
