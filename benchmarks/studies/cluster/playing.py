"""Runs of the default graph on recordings, each a command as a user gives it, on a Ray cluster or without."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from benchmarks.commands import Command
from benchmarks.playing import GRAPH
from emopipe.pipeline.graph.spec import original

LOOK_S = 0.005
RESULTS = "results.jsonl"
SINK = "console"


class Played(NamedTuple):
    """What came of a run.

    Attributes:
        first: s from the command's start to the first result in its file.
        wall: s from the command's start to its end.
        seconds: that it played.
        cpu: seconds of the processor that the processes with stages used while they played.
        frames: that were played.
        age: ms from a result's capture to the sink, the median.
        digest: of the results.
    """

    first: float
    wall: float
    seconds: float
    cpu: float
    frames: int
    age: float
    digest: str


def play(
    recordings: Sequence[Path], settings: Mapping[str, object], cluster: Mapping[str, str] | None = None
) -> Played:
    """Play recordings.

    Args:
        settings: of the graph, by their keys, as `--set` takes them.
        cluster: what the environment needs for the cluster to be found; None to play without one.

    Raises:
        EmopipeError: nothing came of it.
    """
    uris = json.dumps([str(path) for path in recordings])
    given: dict[str, object] = {"stages.capture.use": "file-capture", "stages.capture.uri": uris}
    given |= {f"stages.{SINK}.use": "jsonl", f"stages.{SINK}.path": RESULTS, **settings}
    options = [text for key, value in given.items() for text in ("--set", f"{key}={value}")]
    on = [] if cluster is None else ["--on", "ray"]
    with TemporaryDirectory(prefix="study-") as name:
        folder = Path(name)
        results, figures = folder / RESULTS, folder / "figures.json"
        began = time.monotonic()
        command = ("run", GRAPH, *options, *on, "--json", figures)
        failure = f"no result came of {' '.join(['emopipe run', *on])}"
        with Command(*command, folder=folder, failure=failure, more=cluster or {}) as running:
            while not (running.ended() or (results.exists() and results.stat().st_size)):
                time.sleep(LOOK_S)
            first = time.monotonic() - began
            running.wait()
        found: dict[str, Any] = json.loads(figures.read_text())
        return Played(
            first,
            time.monotonic() - began,
            found["seconds"],
            sum(found["cpu_seconds"].values()),
            sum(each["counters"]["frames"] for stage, each in found["stages"].items() if original(stage) == "capture"),
            found["stages"][SINK]["age_ms"]["p50"],
            hashlib.sha256(results.read_bytes()).hexdigest(),
        )
