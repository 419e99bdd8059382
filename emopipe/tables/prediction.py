"""Predictions as a table for people."""

import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from rich.console import Console
from rich.table import Table

from emopipe.predictor.prediction import EmotionPrediction, Prediction
from emopipe.tables.results import print_segments, segments

Row = tuple[str, str, EmotionPrediction | None]


def print_predictions(predictions: Iterable[Prediction]) -> None:
    """Print what pictures and sounds express, one face or voice a line, and films as segments of one emotion."""
    found = list(predictions)
    rows = [row for prediction in found if not prediction.video for row in _rows(prediction)]
    films = [prediction for prediction in found if prediction.video]
    if rows:
        table = Table("file", "who", "expresses", "confidence", "or else")
        for name, who, prediction in rows:
            table.add_row(name, who, *(_columns(prediction) if prediction else ("–", "", "")))
        Console().print(table)
    if films:
        print_segments(list(segments(chain.from_iterable(film.moments for film in films))))
    if not found:
        print("nothing was predicted", file=sys.stderr)


def _rows(prediction: Prediction) -> Iterator[Row]:
    if prediction.faces is not None:
        name = Path(prediction.image).name
        if not prediction.faces:
            yield name, "no face found", None
        for number, face in enumerate(prediction.faces):
            yield name, _face(number, prediction), face
    if prediction.audio:
        yield Path(prediction.audio).name, "voice" if prediction.voice else "nobody speaks", prediction.voice
    for number, fused in enumerate(prediction.fused):
        yield "both", _face(number, prediction) if prediction.faces else "voice", fused


def _face(number: int, prediction: Prediction) -> str:
    return f"face {number + 1}" if len(prediction.faces or ()) > 1 else "face"


def _columns(prediction: EmotionPrediction) -> tuple[str, str, str]:
    """The likeliest label, its probability, and the next label with its own."""
    _, (second, chance) = sorted(prediction.probabilities.items(), key=lambda pair: -pair[1])[:2]
    doubt = " (uncertain)" if prediction.uncertain else ""
    return f"{prediction.emotion}{doubt}", f"{prediction.confidence:.2f}", f"{second} {chance:.2f}"
