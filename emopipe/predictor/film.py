"""Films for the predictor: played through a graph, as a replay is, their results taken as records."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import msgspec

from emopipe.graphs.ready import find_graph
from emopipe.graphs.replay import replay_table
from emopipe.pipeline.access.folder import run_folder
from emopipe.pipeline.graph.load import Graph, graph_from_table, overridden, read_table
from emopipe.pipeline.runtime.result import RunResult
from emopipe.pipeline.runtime.supervisor import Supervisor
from emopipe.predictor.prediction import Prediction
from emopipe.stages.media.container import stream_names
from emopipe.stages.media.recording import Recording

Play = Callable[[Graph], RunResult]


def play(graph: Graph) -> RunResult:
    """Run a graph to its end, also where an event loop runs already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(Supervisor(graph).run())
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(asyncio.run, Supervisor(graph).run()).result()


def predict(
    paths: Sequence[Path],
    path: Path | None,
    overrides: Sequence[str],
    adapt: Callable[[dict[str, dict[str, Any]]], None],
    run: Play,
) -> list[Prediction]:
    """The time line of each film.

    Args:
        paths: of the films.
        path: of the graph; by default the one that `emopipe run` plays.
        overrides: of its keys.
        adapt: changes the tables of its stages.
        run: runs it.

    Raises:
        EmopipeError: a film cannot be opened, or the graph cannot run.
    """
    for film in paths:
        Recording(film).close()
    path = find_graph(path)
    files = [str(film) for film in paths]
    with run_folder() as folder:
        results = folder / "results.jsonl"
        table = replay_table(overridden(read_table(path), path, overrides), files, [results], realtime=False)
        if isinstance(stages := table.get("stages"), dict):  # if not, who loads it says what is wrong
            adapt({name: stage for name, stage in stages.items() if isinstance(stage, dict)})
        result = run(graph_from_table(table, path).in_one_process())
        predictions = {stream: Prediction(video=file) for file, stream in zip(files, stream_names(files), strict=True)}
        with results.open("rb") as lines:
            for record in map(msgspec.json.decode, lines):
                predictions[record["stream"]].moments.append(record)
    for warning in result.warnings:
        for prediction in predictions.values():
            if warning.damage and warning.text.startswith(f"{prediction.video}: "):
                prediction.damage.append(warning.text.removeprefix(f"{prediction.video}: "))
    return list(predictions.values())
