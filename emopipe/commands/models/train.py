"""Train a model: faces on FER2013 or a folder of one's own, voices on emotional speech, both on RAVDESS's pairs."""

import argparse
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
    read_config,
    training_module,
)
from emopipe.fine_tuning.folder import LAYOUT, is_own
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
        if task == "facial":
            text = f"weights to write (default: {out}; of a folder of your own its name, as folder.safetensors)"
        default = None if task == "facial" else out
        options.add_argument("--out", type=Path, default=default, metavar="FILE", help=text)
        if task == "facial":
            text = "of --data folder/<class>/<picture>: who is in which, a CSV file with the columns file and person"
            options.add_argument("--people", type=Path, metavar="FILE", help=text)
        options.add_argument("--resume", action="store_true", help="go on with the run that was cut short")
        options.add_argument("--evaluate", action="store_true", help="then evaluate what was trained")


def main(args: argparse.Namespace) -> int:
    log_to_stderr()
    with naming(args.config):
        config = read_config(args.config) if args.config else {}
        data = find_corpora(args.data, config) if args.task == "speech" else find_data(args.task, args.data, config)
        if args.task == "fusion":
            config["faces"] = str(find_faces(args.faces, config))
        if args.task == "facial" and isinstance(data, Path) and (args.people or is_own(data)):
            return _fine_tune(args, config, data)
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
    """Learn the classes of a user's own folder of pictures, and show how well."""
    if not is_own(data):
        raise EmopipeError(f"--people {args.people}: {data} is no folder of your own ({LAYOUT}); leave it out")
    if args.resume:
        raise EmopipeError("--resume: fine-tuning on a folder takes a moment, and keeps nothing; leave it out")
    out = args.out or Path(f"{data.resolve().name}.safetensors")
    need_writable(out, "--out")
    training_module("facial")  # says so, if what training needs is not installed
    from emopipe.fine_tuning.facial import fine_tune
    from emopipe.tables.evaluation import show

    evaluation = fine_tune({key: value for key, value in config.items() if key != "data"}, data, args.people, out)
    show(evaluation.report(), f"{out.name} on {data.name}")
    print(f"wrote {out}")
    return 0
