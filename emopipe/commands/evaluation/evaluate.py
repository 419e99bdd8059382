"""Evaluate a model: accuracy, UAR, macro F1, NLL and calibration, each with its interval, and recall by class."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emopipe.arguments.outputs import need_folder, need_writable, write_json
from emopipe.arguments.training import (
    TASKS,
    add_data_arguments,
    data_name,
    find_corpora,
    find_data,
    find_faces,
    log_to_stderr,
    naming,
    own_data,
    read_config,
    training_module,
)
from emopipe.pipeline.errors import EmopipeError

if TYPE_CHECKING:
    from emopipe.training.evaluation.results import Evaluation

HELP = "evaluate a model"
PROTOCOLS = {
    "model": "scores the weights as they are",
    "corpora": "trains on all corpora but one in turn, and tests on that one",
    "actor-folds": "trains and tests in folds of whole speakers, RAVDESS's those of the literature",
    "random": "does so in random folds of clips, which leak the speaker, and shows both",
}
OFFERED = {"speech": ("model", "corpora", "actor-folds", "random"), "fusion": ("model", "actor-folds")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    tasks = parser.add_subparsers(dest="task", required=True, metavar="MODEL")
    for task, description in TASKS.items():
        options = tasks.add_parser(task, help=description, description=f"Evaluate the model of {description}.")
        add_data_arguments(options, task, config=task != "facial")
        options.add_argument(
            "--weights", type=Path, metavar="FILE", help="weights to score (default: the shipped ones)"
        )
        if task == "facial":
            help_ = (
                "of FER2013: Training, PublicTest (default), PrivateTest; of RAF-DB: train, validation, test (default)"
            )
            options.add_argument("--split", metavar="NAME", help=help_)
            help_ = "FER+'s votes on FER2013's images, Parquet or csv: scores what is shown against what people saw"
            options.add_argument("--votes", type=Path, metavar="FILE", help=help_)
        else:
            help_ = "; ".join(f"{name} {PROTOCOLS[name]}" for name in OFFERED[task])
            options.add_argument(
                "--protocol", choices=OFFERED[task], default="model", help=f"{help_} (default: %(default)s)"
            )
            options.add_argument(
                "--config",
                type=Path,
                metavar="FILE",
                help=f"settings, as configs/training/{task}.toml, where the protocol trains",
            )
            options.add_argument("--resume", action="store_true", help="go on with a protocol that was cut short")
        options.add_argument("--json", type=Path, metavar="FILE", help="also write the figures there")
        options.add_argument(
            "--pictures", type=Path, metavar="FOLDER", help="draw confusion matrices and reliability diagrams there"
        )


def main(args: argparse.Namespace) -> int:
    log_to_stderr()
    if args.task != "facial":
        _refuse_contradictions(args)
    if args.json:
        need_writable(args.json, "--json")
    if args.pictures:
        need_folder(args.pictures, "--pictures")
    how = args.split or "" if args.task == "facial" else args.protocol
    config_file = getattr(args, "config", None)
    with naming(config_file):
        config = read_config(config_file) if config_file else {}
        arguments = _arguments(args, config)
        training = training_module(args.task)  # says so, if what evaluating needs is not installed
        own = own_data(args.task, arguments["data"], getattr(args, "people", None))
        evaluation = training.evaluate(**arguments) if own is None else _evaluate_own(args, own)

    from emopipe.tables.evaluation import show

    report = evaluation.report()
    leaks = " (leaks the speaker)" if how == "random" else ""
    subject = f"{how}{leaks}" if own is None else (args.weights or Path("the shipped weights")).name
    show(report, " · ".join(filter(None, (args.task, subject, data_name(arguments["data"])))))
    if args.json:
        write_json(args.json, report.json(), "--json")
    if args.pictures:
        from emopipe.training.evaluation.plots import draw

        for path in draw(evaluation, args.pictures):
            print(f"drew {path}")
    return 0


def _arguments(args: argparse.Namespace, config: dict[str, Any]) -> dict[str, Any]:
    """What `training.<task>.evaluate` is called with."""
    data = find_corpora(args.data, config) if args.task == "speech" else find_data(args.task, args.data, config)
    arguments: dict[str, Any] = {"data": data, "weights": args.weights}
    if args.task == "facial":
        return arguments | {"split": args.split, "votes": args.votes}
    if args.task == "fusion":
        arguments["faces"] = find_faces(args.faces, config)
    chosen = {key: value for key, value in config.items() if key != "data"}
    return arguments | {"protocol": args.protocol, "config": chosen, "resume": args.resume}


def _evaluate_own(args: argparse.Namespace, data: Path) -> "Evaluation":
    """The weights' answers about a user's own files, of which there is but one way."""
    from emopipe.fine_tuning.evaluation import evaluate

    given = {f"--{name}": getattr(args, name, None) for name in ("split", "votes", "protocol")}
    for option, value in given.items():
        if value not in (None, "model"):
            raise EmopipeError(f"{option} {value}: {data} is your own, and scored as it is; leave it out")
    return evaluate(args.task, data, args.people, args.weights)


def _refuse_contradictions(args: argparse.Namespace) -> None:
    trains = args.protocol != "model"
    if trains and args.weights:
        raise EmopipeError(
            f"--weights {args.weights}: --protocol {args.protocol} trains its own; leave one of them out"
        )
    for option, given in (("--config", args.config), ("--resume", args.resume)):
        if given and not trains:
            raise EmopipeError(f"{option}: --protocol model trains nothing; choose actor-folds, or leave {option} out")
