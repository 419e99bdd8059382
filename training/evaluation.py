"""What an evaluation hands over: a model's answers, from which every figure and picture is made.

Faces, voices and both together are evaluated by their own modules (`training.facial`, `training.speech`,
`training.fusion`); each returns an `Evaluation`, and how figures are computed, bounded and drawn stands here once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import Tensor

from training import metrics


@dataclass(frozen=True)
class Answers:
    """What a model said of N examples.

    Attributes:
        logits: [N, classes], before the temperature.
        targets: [N] class indices.
        labels: the classes' names.
        temperature: divides the logits.
        groups: [N] what belongs together (an actor, a fold), for intervals that resample whole groups; none where
            each example stands for itself.
    """

    logits: Tensor
    targets: Tensor
    labels: Sequence[str]
    temperature: float
    groups: Tensor | None = None

    def figures(self) -> dict[str, float]:
        """Every figure by name: see `metrics.summarise`."""
        return metrics.summarise(self.logits, self.targets, self.labels, self.temperature)


@dataclass(frozen=True)
class Evaluation:
    """The result of `emopipe evaluate`.

    Attributes:
        answers: by what they are of; the first is the one that counts, its figures carry no prefix, the others'
            figures are named `<name>_<figure>` (`windows_uar`, `face_accuracy`).
        figures: what is not made from answers alone, by name: deviations over folds, groups, counts.
        notes: what a reader has to know of these figures, a sentence each: that the actors were trained on, that a
            protocol leaks.
    """

    answers: dict[str, Answers]
    figures: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
