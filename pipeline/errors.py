"""The errors a user can meet. Each carries the exit code the command ends with.

EmopipeError                 exit 2: something the user gave is wrong, and the message says what to do
├── GraphError               every problem found in a graph, one line each
├── MediaError               a recording that cannot be opened or has nothing to decode
├── ModelError               weights that are missing, damaged or made for something else
├── DataError                training or evaluation data that is missing or laid out wrongly
└── StageFailed              exit 1: a stage died while the pipeline ran
"""

from collections.abc import Sequence


class EmopipeError(Exception):
    """Base of all errors that are shown as one clear message instead of a traceback."""

    exit_code = 2


class GraphError(EmopipeError):
    """A graph that cannot run. `problems` holds one line for each thing that is wrong."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        super().__init__("\n".join(self.problems))


class MediaError(EmopipeError):
    """A recording that cannot be opened, or holds nothing that decodes."""


class ModelError(EmopipeError):
    """A weight file that is missing, damaged, or made for another architecture or label set."""


class DataError(EmopipeError):
    """A data set that is missing, incomplete, or not laid out as expected."""


class StageFailed(EmopipeError):
    """A stage that died while the pipeline ran; the message names it and its last error."""

    exit_code = 1
