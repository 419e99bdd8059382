"""The figures of an evaluation as tables on the terminal."""

import sys
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from emopipe.training.evaluation.results import Report

Figures = dict[str, float]

HEADLINE = {"accuracy": "accuracy", "uar": "UAR", "macro_f1": "macro F1", "nll": "NLL", "ece": "ECE"}
_SHARES = (
    "accuracy",
    "uar",
    "f1",
    "recall",
    "precision",
    "ece",
    "share",
    "coverage",
    "gain",
    "risk",
    "follows",
    "confidence",
    "answered",
)
_WIDTH = 100  # columns, where nobody's terminal says how many there are


def show(report: "Report", title: str) -> None:
    """Print everything that a reader of the figures needs, the notes last."""
    terminal = sys.stdout.isatty()
    console = Console(width=None if terminal else _WIDTH, highlight=False)
    (name, first), *others = report.answers.items()
    subject = f"{title} · {name}, {first['n']:.0f}"
    console.print(headline(first, subject + (f" in {first['groups']:.0f} groups" if "groups" in first else "")))
    console.print(by_class(first, report))
    if others:
        console.print(beside(dict(others)))
    if report.figures:
        console.print(also(report.figures))
    for note in report.notes:
        console.print(Text(f"· {note}"))


def headline(figures: Figures, title: str) -> Table:
    """The figures that matter, with their interval, their spread over folds, and what to compare them with."""
    folds = "accuracy_mean" in figures
    table = Table(title=Text(title, "bold"), title_justify="left")
    table.add_column("")
    for column in ("figure", "95 % interval", *(["mean ± sd of folds"] if folds else [])):
        table.add_column(column, justify="right")
    table.add_column("compare")
    for key, word in HEADLINE.items():
        cells = [word, number(key, figures[key]), interval(key, figures)]
        if folds:
            sd = figures.get(f"{key}_sd")
            mean = number(key, figures[f"{key}_mean"])
            cells.append(mean if sd is None else f"{mean} ± {number(key, sd)}")
        table.add_row(*cells, _comparison(key, figures))
    return table


def by_class(figures: Figures, report: "Report") -> Table:
    """Recall, precision and F1 of each class, and what it is most often taken for."""
    table = Table("expressed")
    for column in ("n", "recall", "precision", "F1"):
        table.add_column(column, justify="right")
    table.add_column("most often taken for")
    for index, label in enumerate(report.labels):
        if f"recall_{label}" not in figures:
            continue
        row = report.confusion[index]
        mistakes = sorted(((count, other) for other, count in enumerate(row) if other != index and count), reverse=True)
        taken = [f"{report.labels[other]} {number('share', count / sum(row))}" for count, other in mistakes[:2]]
        shares = (number(f"{kind}_{label}", figures[f"{kind}_{label}"]) for kind in ("recall", "precision", "f1"))
        table.add_row(label, f"{figures[f'n_{label}']:.0f}", *shares, ", ".join(taken))
    return table


def beside(others: dict[str, Figures]) -> Table:
    """What else was answered, a line each."""
    table = Table("besides")
    for column in ("n", "accuracy", "UAR", "NLL", "ECE"):
        table.add_column(column, justify="right")
    for name, figures in others.items():
        bounded = [f"{number(key, figures[key])} ({interval(key, figures)})" for key in ("accuracy", "uar")]
        plain = [number(key, figures[key]) for key in ("nll", "ece")]
        table.add_row(name.replace("_", " "), f"{figures['n']:.0f}", *bounded, *plain)
    return table


def also(figures: Figures) -> Table:
    """All other figures, by the names that they have in the JSON."""
    table = Table("also")
    table.add_column("", justify="right")
    for name, value in figures.items():
        table.add_row(name, number(name, value))
    return table


def number(name: str, value: float) -> str:
    """A share in per cent, a count whole, anything else with three decimals."""
    if any(part in name for part in _SHARES):
        return f"{100 * value:.1f} %"
    return f"{value:.0f}" if float(value).is_integer() else f"{value:.3f}"


def interval(key: str, figures: Figures) -> str:
    """`62.1–65.2`, in the figure's own unit."""
    if f"{key}_low" not in figures:
        return "none"
    low, high = (number(key, figures[f"{key}_{end}"]).removesuffix(" %") for end in ("low", "high"))
    return f"{low}–{high}"


def _comparison(key: str, figures: Figures) -> str:
    if key in ("accuracy", "uar"):
        return f"always the same class: {number(key, figures[f'majority_{key}'])}"
    if key == "nll":
        return f"before calibration: {number(key, figures['nll_uncalibrated'])}"
    if key == "ece":
        before = number(key, figures["ece_uncalibrated"])
        return f"before calibration: {before}; from chance alone: {number(key, figures['ece_noise'])}"
    return ""
