"""Train a model: faces on FER2013 or a folder of one's own, voices on emotional speech, both on RAVDESS's pairs."""

import argparse
import importlib
from collections.abc import Sequence
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
from emopipe.fine_tuning.folder import LAYOUT, is_own, is_own_voices
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
            text = f"weights to write (default: {out}; of a folder of your own its name, as folder.safetensors)"
        default = out if task == "fusion" else None
        options.add_argument("--out", type=Path, default=default, metavar="FILE", help=text)
        if task != "fusion":
            text = "of --data folder/<class>/<file>: who is in which, a CSV file with the columns file and person"
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
        if (folder := _own_folder(args, data)) is not None:
            return _fine_tune(args, config, folder)
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


def _own_folder(args: argparse.Namespace, data: Path | Sequence[Path]) -> Path | None:
    """The folder of a user's own that is to be learnt; None where the data is a known set.

    Raises:
        EmopipeError: there are people for what is no such folder.
    """
    if args.task == "fusion":
        return None
    paths = [data] if isinstance(data, Path) else data
    own = is_own if args.task == "facial" else is_own_voices
    if len(paths) == 1 and own(paths[0]):
        return paths[0]
    if args.people:
        raise EmopipeError(
            f"--people {args.people}: {data_name(data)} is no folder of your own ({LAYOUT}); leave it out"
        )
    return None


def _fine_tune(args: argparse.Namespace, config: dict[str, Any], data: Path) -> int:
    """Learn the classes of a user's own folder of pictures or sounds, and show how well."""
    if args.resume:
        raise EmopipeError("--resume: fine-tuning on a folder takes a moment, and keeps nothing; leave it out")
    out = args.out or Path(f"{data.resolve().name}.safetensors")
    need_writable(out, "--out")
    training_module(args.task)  # says so, if what training needs is not installed
    fine_tune = importlib.import_module(f"emopipe.fine_tuning.{args.task}").fine_tune
    from emopipe.tables.evaluation import show

    evaluation = fine_tune({key: value for key, value in config.items() if key != "data"}, data, args.people, out)
    show(evaluation.report(), f"{out.name} on {data.name}")
    print(f"wrote {out}")
    return 0
