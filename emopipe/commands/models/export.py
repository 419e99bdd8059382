"""Write a trained model as ONNX, with its calibration, and prove that the file says what the model says."""

import argparse
from pathlib import Path

from emopipe.arguments.outputs import need_writable
from emopipe.pipeline.errors import EmopipeError

HELP = "write a trained model as ONNX"
TASKS = ("facial", "speech", "fusion")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task", choices=TASKS, metavar="MODEL", help=", ".join(TASKS))
    parser.add_argument("--weights", type=Path, metavar="FILE", help="weights to write (default: the shipped ones)")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.onnx", help="the file to write")
    text = "compare the file's answers with the model's, and write none that differs by more than 0.0001 (default: yes)"
    parser.add_argument("--check", action=argparse.BooleanOptionalAction, default=True, help=text)


def main(args: argparse.Namespace) -> int:
    need_writable(args.out, "--out")
    if args.out.suffix != ".onnx":
        raise EmopipeError(f"--out {args.out}: expected a name that ends in .onnx")
    from emopipe.models.export import export

    difference = export(args.task, args.weights, args.out, args.check)
    checked = "not compared" if difference is None else f"its probabilities differ by {difference:.1e} at most"
    print(f"wrote {args.out}: {args.out.stat().st_size / 1e6:.2f} MB; {checked}")
    return 0
