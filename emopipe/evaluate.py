"""Evaluate a model on data it was not trained on: accuracy, UAR, calibration, and recall for each class."""

import argparse
import importlib
import json
from collections.abc import Mapping
from pathlib import Path

from emopipe.terminal import log_to_stderr
from emopipe.train import TASKS
from pipeline.errors import EmopipeError

HELP = "evaluate a model"
SPLITS = {"facial": ("validation", "test"), "speech": ("unseen", "all")}
SPLIT_HELP = {
    "facial": "PublicTest (validation) or PrivateTest (test)",
    "speech": "the actors that the model was not trained on (unseen), or all",
}
FRACTIONS = ("accuracy", "macro_f1", "uar", "recall_", "ece")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    tasks = parser.add_subparsers(dest="task", required=True, metavar="MODEL")
    for task, description in TASKS.items():
        options = tasks.add_parser(task, help=description, description=f"Evaluate the model of {description}.")
        options.add_argument("--data", type=Path, required=True, metavar="PATH", help="the data set")
        options.add_argument("--weights", type=Path, metavar="FILE", help="by default those of the project")
        splits = SPLITS[task]
        options.add_argument("--split", choices=splits, default=splits[0], help=f"{SPLIT_HELP[task]} (%(default)s)")
        options.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")


def main(args: argparse.Namespace) -> int:
    log_to_stderr()
    evaluate = importlib.import_module(f"training.{args.task}").evaluate
    figures: dict[str, float] = evaluate(args.data, args.weights, args.split)
    print(table(figures))
    if args.json:
        try:
            args.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise EmopipeError(f"{args.json}: cannot be written ({error.strerror})") from None
    return 0


def table(figures: Mapping[str, float]) -> str:
    """One figure a line: shares in per cent, counts whole."""
    width = max(map(len, figures))
    lines = []
    for name, value in figures.items():
        if name.startswith(FRACTIONS):
            shown = f"{value:8.2%}"
        elif float(value).is_integer():
            shown = f"{value:8.0f}"
        else:
            shown = f"{value:8.4f}"
        lines.append(f"{name:<{width}}  {shown}")
    return "\n".join(lines)
