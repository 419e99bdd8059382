"""One command line from its words to its exit code."""

import errno
import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType

import emopipe
from emopipe.arguments.outputs import need_apart
from emopipe.arguments.parser import Parser
from emopipe.commands import VERBS
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.text import readable

INTERRUPTED = 130
UNUSABLE = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOTDIR)  # paths of a user
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)  # what a file that standard output goes to may say


def load(arguments: Sequence[str]) -> dict[str, ModuleType]:
    """The module of the verb that is asked for, by name; all of them where none is.

    What the others import, such as OpenCV for the data of fine-tuning, would hold it up.
    """
    names = arguments[:1] if arguments and arguments[0] in VERBS else VERBS
    return {name: importlib.import_module(VERBS[name]) for name in names}


def run(arguments: Sequence[str], modules: Mapping[str, ModuleType]) -> int:
    """Run one command line with what `load` gave for it, and return its exit code."""
    verb = ""
    try:
        given = _parser(modules).parse_args(arguments)
        verb = given.verb
        need_apart(vars(given))
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
        if error.filename is not None and error.errno in UNUSABLE:
            path = readable(os.fsdecode(error.filename))
            print(f"emopipe: {path}: {error.strerror}; check the path, and who may enter its folders", file=sys.stderr)
            return EmopipeError.exit_code
        if error.filename is not None or error.errno not in FULL:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # where what is still buffered goes at the end
        print(f"emopipe: standard output cannot be written ({error.strerror})", file=sys.stderr)
        return EmopipeError.exit_code


def _parser(modules: Mapping[str, ModuleType]) -> Parser:
    """A parser of these verbs; where they are all, also of what is asked for without one."""
    parser = Parser(
        prog="emopipe", description="What a face and a voice express, on one time line, with honest confidence."
    )
    if len(modules) == len(VERBS):
        import shtab

        parser.add_argument("--version", action="version", version=f"emopipe {emopipe.__version__}")
        shtab.add_argument_to(parser, help="print a script for the completion of commands by your shell")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")
    for name, module in modules.items():
        module.add_arguments(verbs.add_parser(name, help=module.HELP, description=module.__doc__))
    return parser
