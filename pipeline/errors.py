"""The errors a user can meet. Each carries the exit code the command ends with.

EmopipeError                 exit 2: something the user gave is wrong, and the message says what to do
├── GraphError               every problem found in a graph, one line each
├── MediaError               a recording that cannot be opened or has nothing to decode
├── ModelError               weights that are missing, damaged or made for something else
├── DataError                training or evaluation data that is missing or laid out wrongly
└── StageFailed              exit 1: a stage died while the pipeline ran
"""

from collections.abc import Sequence
from dataclasses import dataclass

from emopipe.pipeline.text import key_path, one_line


class EmopipeError(Exception):
    """Base of all errors that are shown as one clear message instead of a traceback."""

    exit_code = 2


@dataclass(frozen=True, kw_only=True)
class Problem:
    """One thing that is wrong with a graph.

    Attributes:
        stage: which stage it is about, by its name; empty where it is about the graph as a whole.
        key: where in the stage's table, else in the file: `inputs.video`, `uri[1]`, `pipeline.mode`.
        text: what is wrong, what was expected, the nearest valid name; `{other}` stands for another stage in it.
        other: that stage's name.
    """

    text: str
    stage: str = ""
    key: str = ""
    other: str = ""

    def sentence(self, other: str = "") -> str:
        """The text, with what to call the other stage by; `stages.NAME` where not given."""
        named = self.text.replace("{other}", other or key_path("stages", self.other)) if self.other else self.text
        return one_line(named)

    def __str__(self) -> str:
        path = ".".join(filter(None, [key_path("stages", self.stage) if self.stage else "", one_line(self.key)]))
        return ": ".join(filter(None, [path, self.sentence()]))


class GraphError(EmopipeError):
    """A graph that cannot run: all its problems, one line each, after the file's name where there is one."""

    def __init__(self, problems: Sequence[Problem], origin: str = "") -> None:
        self.problems = list(problems)
        super().__init__("\n".join(": ".join(filter(None, [one_line(origin), str(each)])) for each in self.problems))


class MediaError(EmopipeError):
    """A recording that cannot be opened, or holds nothing that decodes."""


class ModelError(EmopipeError):
    """A weight file that is missing, damaged, or made for another architecture or label set."""


class DataError(EmopipeError):
    """A data set that is missing, incomplete, or not laid out as expected."""


class StageFailed(EmopipeError):
    """A stage that died while the pipeline ran; the message names it and its last error."""

    exit_code = 1
