"""`emopipe bench VERB …`, also as `python -m benchmarks VERB …`."""

import argparse
import importlib
import sys
from collections.abc import Sequence

from benchmarks.outcome import conduct
from benchmarks.verbs import VERBS
from emopipe.arguments.outputs import need_apart
from emopipe.arguments.parser import Parser
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.text import readable


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what one command line asks for; the exit code.

    Raises:
        EmopipeError: it cannot be measured.
    """
    parser = Parser(
        prog="emopipe bench",
        description="Measure emopipe on this machine. The figures mean something where it does nothing else; each "
        "says how busy it was. docs/performance.md has those of ours.",
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    modules = {name: importlib.import_module(f"benchmarks.verbs.{name}") for name in VERBS}
    for name, module in modules.items():
        formatter = argparse.RawDescriptionHelpFormatter
        each = verbs.add_parser(name, help=module.HELP, description=module.__doc__, formatter_class=formatter)
        module.add_arguments(each)
    given = parser.parse_args(arguments)
    need_apart(vars(given))
    return conduct(given, modules[given.verb].measure)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except EmopipeError as error:
        print(f"emopipe: {readable(error)}", file=sys.stderr)
        sys.exit(error.exit_code)
