"""Predictions as a table for people."""

import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from emopipe.models.labels import SPEECH_TO_FACE
from emopipe.pipeline.text import printable
from emopipe.predictor.prediction import EmotionPrediction, Prediction
from emopipe.stages.sinks.findings import percent
from emopipe.tables.results import print_moments

Row = tuple[str, str, EmotionPrediction | None]


def print_predictions(predictions: Iterable[Prediction]) -> None:
    """Print what pictures and sounds express, one face or voice a line, and films as segments of one emotion."""
    found = list(predictions)
    rows = [row for prediction in found if not prediction.video for row in _rows(prediction)]
    films = [prediction for prediction in found if prediction.video]
    if rows:
        table = Table("file", "who", "expresses", "confidence", "", "or else")
        for name, who, prediction in rows:
            table.add_row(Text(printable(name)), who, *(_columns(prediction) if prediction else ("–", "", "", "")))
        Console().print(table)
    if films:
        print_moments(chain.from_iterable(film.moments for film in films))
    if not found:
        print("nothing was predicted", file=sys.stderr)


def _rows(prediction: Prediction) -> Iterator[Row]:
    image, audio = Path(prediction.image).name, Path(prediction.audio).name
    faces = prediction.faces or []
    if prediction.faces is not None:
        yield from ((image, f"face {number}", face) for number, face in enumerate(faces))
        if not faces:
            yield image, "no face found", None
    if prediction.audio:
        yield audio, "voice" if prediction.voice else "nobody speaks", prediction.voice
    for number, fused in enumerate(prediction.fused):
        who = [f"face {number}"] * bool(faces) + ["voice"] * (prediction.voice is not None)
        yield "both", " + ".join(who), fused


def _columns(prediction: EmotionPrediction) -> tuple[str, str, str, str]:
    """The likeliest label, its probability, whether that is uncertain, and the next label with its own."""
    shares: dict[str, float] = {}
    for label, share in prediction.probabilities.items():
        common = SPEECH_TO_FACE.get(label, label)  # the voice in the labels that all results have
        shares[common] = shares.get(common, 0.0) + share
    (first, confidence), *others = sorted(shares.items(), key=lambda pair: -pair[1])
    second = f"{others[0][0]} {percent(others[0][1])}" if others else ""  # calm and neutral of an own model are one
    return first, percent(confidence), "uncertain" if prediction.uncertain else "", second
