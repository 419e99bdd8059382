"""The parser of a command line, which says of a mistake where it is and what was probably meant."""

import argparse
import os
from typing import Any, NoReturn

from emopipe.pipeline.text import instead, nearest, readable, show


class Parser(argparse.ArgumentParser):
    """argparse's, but a mistake is said with the usage of the verb that it was made in, and the nearest right word."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse's: exit with 2 and a sentence where something is wrong."""
        given, strays = self.parse_known_args(args, namespace)
        if strays:
            verb = self._used(given)
            verb.error(f"{strays[0]}: {verb._advice(strays[0])}")
        return given

    def error(self, message: str) -> NoReturn:
        """As argparse's; what it quotes cannot steer the terminal."""
        super().error(readable(message))

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Refuse what is none of an argument's choices, with the nearest of them."""
        if action.choices is not None and value not in action.choices:
            words = [str(choice) for choice in action.choices]
            raise argparse.ArgumentError(action, f"no {show(str(value))}; {instead(str(value), words)}")

    def _advice(self, stray: str) -> str:
        if not stray.startswith("-"):
            named = [
                action.option_strings[-1] for action in self._actions if action.option_strings and action.nargs == "+"
            ]
            return f"name it behind {' or '.join(named)}" if named else "one word too many"
        if os.path.lexists(stray):
            return f"no such option; the file of that name is ./{stray}"
        name, _, _ = stray.partition("=")
        near = nearest(name, [option for action in self._actions for option in action.option_strings])
        return "no such option" + (f"; did you mean {near}?" if near else "")

    def _used(self, given: argparse.Namespace) -> "Parser":
        """The parser of the verb that was given, and of the verb below it, where there is one."""
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):
                below = action.choices.get(str(getattr(given, action.dest, "")))
                return below._used(given) if isinstance(below, Parser) else self
        return self
