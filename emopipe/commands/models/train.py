"""Train a model: faces on FER2013, voices on emotional speech, each on files of one's own, both on RAVDESS's pairs."""

import argparse
import importlib
from pathlib import Path
from typing import Any

from emopipe.arguments.outputs import need_writable
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

HELP = "train a model"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    tasks = parser.add_subparsers(dest="task", required=True, metavar="MODEL")
    for task, description in TASKS.items():
        options = tasks.add_parser(task, help=description, description=f"Train the model of {description}.")
        options.add_argument(
            "--config", type=Path, metavar="FILE", help=f"settings, or the name of emopipe's own: {task}"
        )
        add_data_arguments(options, task, config=True)
        out = Path("models") / "weights" / f"{task}.safetensors"
        text = "weights to write (default: %(default)s)"
        if task != "fusion":
            text = f"weights to write (default: {out}; of your own its name, as folder.safetensors)"
        default = out if task == "fusion" else None
        options.add_argument("--out", type=Path, default=default, metavar="FILE", help=text)
        options.add_argument("--resume", action="store_true", help="go on with the run that was cut short")
        options.add_argument("--evaluate", action="store_true", help="then evaluate what was trained")


def main(args: argparse.Namespace) -> int:
    log_to_stderr()
    with naming(args.config):
        config = read_config(args.config) if args.config else {}
        data = find_corpora(args.data, config) if args.task == "speech" else find_data(args.task, args.data, config)
        if args.task == "fusion":
            config["faces"] = str(find_faces(args.faces, config))
        if (own := own_data(args.task, data, getattr(args, "people", None))) is not None:
            return _fine_tune(args, config, own)
        args.out = args.out or Path("models") / "weights" / f"{args.task}.safetensors"
        need_writable(args.out, "--out")
        training = training_module(args.task)
        chosen = {key: value for key, value in config.items() if key != "data"}
        training.train(chosen, data, args.out, resume=args.resume)
    print(f"wrote {args.out}")
    if args.evaluate:
        from emopipe.tables.evaluation import show

        faces = {"faces": Path(config["faces"])} if args.task == "fusion" else {}
        show(training.evaluate(data, weights=args.out, **faces).report(), f"{args.out.name} on {data_name(data)}")
    return 0


def _fine_tune(args: argparse.Namespace, config: dict[str, Any], data: Path) -> int:
    """Learn the classes of a user's own pictures or sounds, in a folder or a table, and show how well."""
    if args.resume:
        raise EmopipeError("--resume: fine-tuning takes a moment, and keeps nothing; leave it out")
    name = data.resolve().stem if data.is_file() else data.resolve().name
    out = args.out or Path(f"{name}.safetensors")
    need_writable(out, "--out")
    training_module(args.task)  # says so, if what training needs is not installed
    fine_tune = importlib.import_module(f"emopipe.fine_tuning.{args.task}").fine_tune
    from emopipe.tables.evaluation import show

    evaluation = fine_tune({key: value for key, value in config.items() if key != "data"}, data, args.people, out)
    show(evaluation.report(), f"{out.name} on {data.name}")
    print(f"wrote {out}")
    return 0
