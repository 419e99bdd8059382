"""Train a model: the faces' on FER2013, the voices' on RAVDESS, or both together on RAVDESS's pairs."""

import argparse
import importlib
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from emopipe.commands import data_sets as datasets
from emopipe.commands.outputs import need_writable
from emopipe.commands.terminal import log_to_stderr
from emopipe.pipeline.errors import EmopipeError

HELP = "train a model"
TASKS = {
    "facial": "faces, on FER2013",
    "speech": "voices, on RAVDESS",
    "fusion": "faces and voices together, on RAVDESS",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    tasks = parser.add_subparsers(dest="task", required=True, metavar="MODEL")
    for task, description in TASKS.items():
        options = tasks.add_parser(task, help=description, description=f"Train the model of {description}.")
        options.add_argument("--config", type=Path, metavar="FILE", help=f"settings, as configs/training/{task}.toml")
        add_data_arguments(options, task, config=True)
        out = Path("models") / "weights" / f"{task}.safetensors"
        options.add_argument(
            "--out", type=Path, default=out, metavar="FILE", help="weights to write (default: %(default)s)"
        )
        options.add_argument("--resume", action="store_true", help="go on with the run that was cut short")
        options.add_argument("--evaluate", action="store_true", help="then evaluate what was trained")


def add_data_arguments(options: argparse.ArgumentParser, task: str, *, config: bool) -> None:
    """`--data`, and `--faces` where voices alone are not enough. `config` says whether one may name them too."""
    given = "the config's, else " if config else ""
    data, faces = datasets.DATA[task], datasets.FACES
    help_ = f"{data.name}: {data.layout} (default: {given}{data.default})"
    options.add_argument("--data", type=Path, metavar="PATH", help=help_)
    if task == "fusion":
        help_ = f"{faces.name} (default: {given}{faces.default})"
        options.add_argument("--faces", type=Path, metavar="FILE", help=help_)


def main(args: argparse.Namespace) -> int:
    log_to_stderr()
    with told_by(args.config):
        config = read_config(args.config) if args.config else {}
        data = datasets.find(args.task, args.data, config)
        if args.task == "fusion":
            config["faces"] = str(datasets.find_faces(args.faces, config))
        need_writable(args.out, "--out")
        training = training_module(args.task)
        chosen = {key: value for key, value in config.items() if key != "data"}
        training.train(chosen, data, args.out, resume=args.resume)
    print(f"wrote {args.out}")
    if args.evaluate:
        from emopipe.tables.evaluation import show

        faces = {"faces": Path(config["faces"])} if args.task == "fusion" else {}
        show(training.evaluate(data, weights=args.out, **faces).report(), f"{args.out.name} on {data.name}")
    return 0


def training_module(task: str) -> ModuleType:
    """`training.<task>.train`, which imports torch and Lightning: only where there is something to do.

    Raises:
        EmopipeError: what training needs is not installed.
    """
    try:
        return importlib.import_module(f"emopipe.training.{task}.train")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "emopipe":
            raise
        raise EmopipeError(
            f"{error.name} is not installed, and training and evaluating need it: pip install 'emopipe[train]'"
        ) from None


@contextmanager
def told_by(config: Path | None) -> Iterator[None]:
    """A wrong setting is named with the file that it stands in."""
    try:
        yield
    except EmopipeError as error:
        if config is None or type(error) is not EmopipeError or str(error).startswith(("--", str(config))):
            raise
        raise EmopipeError(f"{config}: {error}") from None


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
