"""Predictions as a table for people."""

import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from rich.console import Console
from rich.table import Table

from emopipe.predictor.prediction import Answer, Prediction
from emopipe.tables.results import print_stretches, stretches

Row = tuple[str, str, Answer | None]


def print_predictions(predictions: Iterable[Prediction]) -> None:
    """Print what pictures and sounds express, one face or voice a line, and films as stretches of one emotion."""
    found = list(predictions)
    rows = [row for prediction in found if not prediction.video for row in _rows(prediction)]
    films = [prediction for prediction in found if prediction.video]
    if rows:
        table = Table("file", "who", "expresses", "confidence", "or else")
        for name, who, answer in rows:
            table.add_row(name, who, *(_columns(answer) if answer else ("–", "", "")))
        Console().print(table)
    if films:
        print_stretches(list(stretches(chain.from_iterable(film.moments for film in films))))
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
    for number, answer in enumerate(prediction.fused):
        yield "both", _face(number, prediction) if prediction.faces else "voice", answer


def _face(number: int, prediction: Prediction) -> str:
    return f"face {number + 1}" if len(prediction.faces or ()) > 1 else "face"


def _columns(answer: Answer) -> tuple[str, str, str]:
    """The likeliest label, its probability, and the next label with its own."""
    _, (second, chance) = sorted(answer.probabilities.items(), key=lambda pair: -pair[1])[:2]
    doubt = " (uncertain)" if answer.uncertain else ""
    return f"{answer.emotion}{doubt}", f"{answer.confidence:.2f}", f"{second} {chance:.2f}"
