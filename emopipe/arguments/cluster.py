"""The option of the verbs that play on a Ray cluster."""

import argparse
import importlib.util

from emopipe.pipeline.errors import EmopipeError


def add_on_argument(parser: argparse.ArgumentParser) -> None:
    """Which cluster to play on; none, unless it is given."""
    where = "ray: that of this host, or one started for the run"
    parser.add_argument("--on", metavar="CLUSTER", help=f"play on a Ray cluster: ray://HOST:PORT, or {where}")


def need_ray() -> None:
    """Refuse `--on` without Ray.

    Raises:
        EmopipeError: it is not installed.
    """
    if importlib.util.find_spec("ray") is None:
        raise EmopipeError('--on: Ray is not installed; `pip install "emopipe[ray]"`, here and on each node')
