"""Train a model: the faces' on FER2013, the voices' on RAVDESS."""

import argparse
import importlib
import tomllib
from pathlib import Path
from typing import Any

from emopipe.terminal import log_to_stderr
from pipeline.errors import EmopipeError

HELP = "train a model"
TASKS = {
    "facial": "faces, on FER2013 (a folder or zip with train/<class>/… and test/<class>/…)",
    "speech": "voices, on RAVDESS (a folder or zip with Actor_NN/…)",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    tasks = parser.add_subparsers(dest="task", required=True, metavar="MODEL")
    for task, description in TASKS.items():
        options = tasks.add_parser(task, help=description, description=f"Train the model of {description}.")
        options.add_argument("--config", type=Path, metavar="TOML", help=f"settings, as configs/training/{task}.toml")
        options.add_argument("--data", type=Path, required=True, metavar="PATH", help="the data set")
        out = Path("models") / "weights" / f"{task}.safetensors"
        options.add_argument("--out", type=Path, default=out, metavar="FILE", help="weights to write (%(default)s)")
        options.add_argument("--resume", action="store_true", help="go on with the run that was cut short")


def main(args: argparse.Namespace) -> int:
    config = read_config(args.config) if args.config else {}
    log_to_stderr()
    training = importlib.import_module(f"training.{args.task}")
    try:
        training.train(config, args.data, args.out, resume=args.resume)
    except EmopipeError as error:
        # A wrong setting is named with the file that it stands in.
        if args.config and type(error) is EmopipeError:
            raise EmopipeError(f"{args.config}: {error}") from None
        raise
    print(f"wrote {args.out}")
    return 0


def read_config(path: Path) -> dict[str, Any]:
    """The settings in a TOML file.

    Raises:
        EmopipeError: no such file, or not TOML.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise EmopipeError(f"{path}: cannot be read ({error.strerror}); see configs/training/ for examples") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EmopipeError(f"{path}: not valid TOML: {error}") from None
