"""The command: `emopipe VERB …`. Its verbs are the modules of `emopipe/commands/`."""

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

import emopipe
from emopipe.commands import VERBS
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.text import readable

INTERRUPTED = 130
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # what a file that standard output goes to may say


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code: 0 done · 1 failed · 2 something to mend · 130 interrupted."""
    verb = ""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        # What others need, such as PyTorch's data sets or OpenCV, would hold up the one that is asked for.
        names = arguments[:1] if arguments and arguments[0] in VERBS else VERBS
        modules = {name: importlib.import_module(VERBS[name]) for name in names}
        given = _parse(modules, arguments)
        verb = given.verb
        code = int(modules[verb].main(given))
        sys.stdout.flush()
        return code
    except EmopipeError as error:
        print(f"emopipe: {readable(error)}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt as interrupt:
        how = f"ended by {interrupt}" if interrupt.args else "interrupted"
        print(f"emopipe: {how}; the files written so far are whole", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # `emopipe inspect | head` has all it wanted; a run that nobody watches any more has not
        sys.stderr.close()
        return 1 if verb in ("run", "replay") else 0
    except OSError as error:
        if error.filename is not None or error.errno not in FULL:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where what is still buffered goes at the end
        print(f"emopipe: standard output cannot be written ({error.strerror})", file=sys.stderr)
        return EmopipeError.exit_code


def _parse(modules: Mapping[str, ModuleType], arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments of one of these verbs; where there are several, also what is asked for without a verb."""
    parser = argparse.ArgumentParser(
        prog="emopipe", description="What a face and a voice express, on one time line, with honest confidence."
    )
    if len(modules) > 1:
        import shtab

        parser.add_argument("--version", action="version", version=f"emopipe {emopipe.__version__}")
        shtab.add_argument_to(parser, help="print a script for the completion of commands by your shell")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, module in modules.items():
        module.add_arguments(verbs.add_parser(name, help=module.HELP, description=module.__doc__))
    given, unknown = parser.parse_known_args(arguments)
    if unknown:  # the verb's own usage tells what there is instead
        verbs.choices[given.verb].error(f"unrecognized arguments: {' '.join(unknown)}")
    return given


if __name__ == "__main__":
    sys.exit(main())
