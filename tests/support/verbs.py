"""Runs one verb of the command in this process, as `emopipe.__main__` would."""

import argparse
import importlib

from emopipe.commands import VERBS


def verb(name: str, *arguments: str) -> int:
    """The exit code of `emopipe NAME …`."""
    module = importlib.import_module(VERBS[name])
    parser = argparse.ArgumentParser(prog=f"emopipe {name}")
    module.add_arguments(parser)
    return int(module.main(parser.parse_args(arguments)))
