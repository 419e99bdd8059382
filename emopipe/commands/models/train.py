"""Train a model: the faces' on FER2013, the voices' on emotional speech, or both on RAVDESS's pairs."""

import argparse
from pathlib import Path

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
        options.add_argument(
            "--out", type=Path, default=out, metavar="FILE", help="weights to write (default: %(default)s)"
        )
        options.add_argument("--resume", action="store_true", help="go on with the run that was cut short")
        options.add_argument("--evaluate", action="store_true", help="then evaluate what was trained")


def main(args: argparse.Namespace) -> int:
    log_to_stderr()
    with naming(args.config):
        config = read_config(args.config) if args.config else {}
        data = find_corpora(args.data, config) if args.task == "speech" else find_data(args.task, args.data, config)
        if args.task == "fusion":
            config["faces"] = str(find_faces(args.faces, config))
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
