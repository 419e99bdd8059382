"""The outcome of a benchmark: shown as tables, and written as JSON and as a picture."""

import argparse
import math
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.chart import Bar, bar_chart
from benchmarks.conditions import Conditions
from benchmarks.figures import finite, table
from emopipe.arguments.outputs import need_writable, write_json, writing

WRONG = 1  # the exit code where something was not as it must be on every machine

Rows = Sequence[Mapping[str, object]]


@dataclass
class Outcome:
    """What was measured.

    Attributes:
        figures: what stands at the top of the JSON.
        tables: shown, each under its title.
        bars: of the picture.
        wrong: what was not as it must be on every machine, busy or not.
    """

    title: str
    figures: dict[str, Any]
    tables: list[tuple[str, Rows]]
    bars: list[Bar] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def picture(self, note: str) -> str:
        """What was measured as SVG; `note` says where and when."""
        return bar_chart(self.title, [bar for bar in self.bars if not math.isnan(bar.value)], note)


def spread(rows: Sequence[Mapping[str, float]]) -> dict[str, list[float]]:
    """Median, lowest and highest of each figure of several rounds."""
    return {
        name: [statistics.median(values), min(values), max(values)]
        for name in rows[0]
        for values in [[row[name] for row in rows]]
    }


def spread_table(found: Mapping[str, Sequence[float]]) -> list[dict[str, object]]:
    return [{"": name, "median": median, "lowest": low, "highest": high} for name, (median, low, high) in found.items()]


def bars(found: Mapping[str, Sequence[float]], labels: Mapping[str, tuple[str, str]]) -> list[Bar]:
    """A bar for each of `labels`, which give a figure's label and its unit."""
    return [Bar(label, *found[name], unit) for name, (label, unit) in labels.items()]  # type: ignore[misc]


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures there")
    parser.add_argument("--svg", type=Path, metavar="FILE", help="also draw them there")


def conduct(arguments: argparse.Namespace, measure: Callable[[argparse.Namespace], Outcome]) -> int:
    """Measure, show and write what came of it; the exit code.

    Raises:
        EmopipeError: it cannot be measured, or an output cannot be written.
    """
    for path, option in ((arguments.json, "--json"), (arguments.svg, "--svg")):
        if path is not None:
            need_writable(path, option)
    with Conditions() as conditions:
        outcome = measure(arguments)
    print(f"{outcome.title}\n{conditions.line}")
    for title, rows in outcome.tables:
        print(f"\n{title}\n\n{table(rows)}")
    for warning in conditions.warnings:
        print(f"emopipe: {warning}", file=sys.stderr)
    if arguments.json is not None:
        content = {"bench": arguments.verb, **outcome.figures, "wrong": outcome.wrong, **conditions.as_dict()}
        write_json(arguments.json, finite(content), "--json")
    if arguments.svg is not None:
        note = f"{conditions.as_dict()['date'][:10]}; {conditions.line.partition(';')[0]}"
        with writing(arguments.svg, "--svg") as write:
            write(outcome.picture(note))
    if outcome.wrong:
        print("emopipe: not as it must be:", *outcome.wrong, sep="\n  ", file=sys.stderr)
        return WRONG
    return 0
