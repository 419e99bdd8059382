"""Graphs on Ray nodes of their own (`benchmarks.studies.cluster.nodes`), for the tests.

What needs a network of its own is a module of this folder that prints what it has found as JSON.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.hosts import isolated
from benchmarks.studies.cluster.nodes import ClusterProcesses, Nodes, until
from tests.support.paths import ROOT
from tests.support.processes import popen

RUN_TIMEOUT_S = 200.0
ACTOR = "ray::RayWorker"
PLAYING = (ACTOR, "emopipe.pipeline.runtime.worker", "ray::RayPlayer", "emopipe.archive.job")


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder with a short name: Ray's Unix sockets lie in it."""
    with tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield Path(name)


def played_here(folder: Path, graph: str, *options: str) -> str:
    """The results of a graph of the folder without a cluster; they are taken away."""
    results = folder / f"{graph}.jsonl"
    command = [sys.executable, "-m", "emopipe", "run", str(folder / f"{graph}.toml"), *options]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    text = results.read_text()
    results.unlink()
    return text


def played(module: str, folder: Path, *arguments: str) -> dict[str, Any]:
    """What such a module has found."""
    command = isolated([sys.executable, "-m", f"tests.support.{module}", str(folder), *arguments])
    with ClusterProcesses(folder):  # which ends them where the module has not come to it
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=560)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run(
    folder: Path,
    graph: str,
    environment: Mapping[str, str],
    *options: str,
    on: str = "ray",
    enter: Sequence[str] = (),
    during: Callable[["subprocess.Popen[str]"], None] = lambda process: None,
) -> dict[str, Any]:
    """Play a graph of the folder on the cluster; its results are taken away.

    Args:
        enter: how the command line begins, for another host.
        during: what to do meanwhile.
    """
    results, figures = folder / f"{graph}.jsonl", folder / "figures.json"
    command = [*enter, sys.executable, "-m", "emopipe", "run", str(folder / f"{graph}.toml"), "--on", on, *options]
    with popen([*command, "--json", str(figures)], env=environment) as process:
        try:
            during(process)
            _, said = process.communicate(timeout=RUN_TIMEOUT_S)
        finally:
            process.kill()
    text = results.read_text() if results.exists() else ""
    results.unlink(missing_ok=True)
    counted = json.loads(figures.read_text()) if figures.exists() else {}
    figures.unlink(missing_ok=True)
    return {"code": process.returncode, "said": said, "results": text, "figures": counted}


def await_results(folder: Path, graph: str, process: "subprocess.Popen[str]") -> None:
    """Wait until a run plays, or has ended."""
    results = folder / f"{graph}.jsonl"
    until(lambda: process.poll() is not None or (results.exists() and results.stat().st_size > 10_000), "results")


def actors(nodes: Nodes) -> list[int]:
    """The processes that take part in a run there."""
    return [pid for pid, command in nodes.processes if command.startswith(ACTOR)]


def left(nodes: Nodes) -> list[str]:
    """What of runs is still there: actors, and processes on this host."""
    return [command for _, command in nodes.processes if any(word in command for word in PLAYING)]
