"""The result of an evaluation: a model's answers, from which every figure and plot is made.

Faces, voices and both together are evaluated by their own modules (`training.facial.train`, `training.speech.train`,
`training.fusion.train`); each returns an `Evaluation`, and how figures are computed, bounded and drawn stands here
once."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from emopipe.pipeline.errors import ModelError
from emopipe.training.evaluation import metrics
from emopipe.training.evaluation.intervals import calibration_noise, intervals

BOUNDED = ("accuracy", "macro_f1", "uar", "nll", "ece")
"""The figures that get an interval, and over folds a mean and a deviation."""

FEW = 10
"""With fewer people than this a bootstrap over them is known to be too narrow (Cameron, Gelbach & Miller 2008)."""


@dataclass(frozen=True)
class Answers:
    """A model's answers about N examples.

    Attributes:
        logits: [N, classes], before the temperature.
        targets: [N] class indices.
        labels: the classes' names.
        temperature: divides the logits; one for all, or one for each example [N] (it may depend on a window's length,
            or on the fold).
        groups: [N] what belongs together (an actor), for intervals that resample whole groups; none where each
            example stands for itself.
        folds: [N] which fold or seed an example was tested in; with it, figures get their mean over the folds and
            its standard deviation as `<figure>_mean` and `<figure>_sd`.
    """

    logits: Tensor
    targets: Tensor
    labels: Sequence[str]
    temperature: float | Tensor
    groups: Tensor | None = None
    folds: Tensor | None = None

    def figures(self) -> dict[str, float]:
        """Every figure by name: see `metrics.summarise`."""
        return metrics.summarise(self.logits, self.targets, self.labels, self.temperature)

    def bounded(self) -> dict[str, float]:
        """The figures, their intervals (`intervals.intervals`) and deviations over folds.

        `ece_noise` is the ECE that exactly true confidences would have on so few examples.
        """
        figures = self.figures() | {"ece_noise": calibration_noise(self.probabilities().numpy())}
        figures |= intervals(self.logits, self.targets, self.temperature, self.groups) | self._over_folds()
        if self.groups is not None:
            figures["groups"] = float(len(set(self.groups.tolist())))
        return figures

    def probabilities(self) -> Tensor:
        """[N, classes] float64, after the temperature."""
        return metrics.calibrate(self.logits, self.temperature).softmax(dim=1)

    def confusion(self) -> list[list[int]]:
        """Counts: a row for what was expressed, a column for what was answered."""
        counts: list[list[int]] = metrics.confusion(self.logits, self.targets, len(self.labels)).tolist()
        return counts

    def of(self, keep: Tensor) -> "Answers":
        """The examples for which `keep` [N] is true, or whose indices it holds."""

        def kept(values: Tensor | None) -> Tensor | None:
            return None if values is None else values[keep]

        temperature = self.temperature[keep] if isinstance(self.temperature, Tensor) else self.temperature
        return Answers(
            self.logits[keep], self.targets[keep], self.labels, temperature, kept(self.groups), kept(self.folds)
        )

    def _over_folds(self) -> dict[str, float]:
        if self.folds is None:
            return {}
        each = [self.of(self.folds == fold).figures() for fold in sorted(set(self.folds.tolist()))]
        result = {"folds": float(len(each))}
        for name in BOUNDED:
            values = [figures[name] for figures in each]
            result[f"{name}_mean"] = statistics.fmean(values)
            if len(values) > 1:
                result[f"{name}_sd"] = statistics.stdev(values)
        return result


@dataclass(frozen=True)
class Evaluation:
    """The result of `emopipe evaluate`.

    Attributes:
        answers: by what they are of; the first is the one that counts, its figures carry no prefix, the others'
            figures are named `<name>_<figure>` (`windows_uar`, `face_accuracy`).
        figures: what is not made from answers alone, by name: groups, counts. `<figure>_mean` and `<figure>_sd` are
            shown beside the figure, as its mean and deviation over folds or seeds.
        notes: what a reader has to know of these figures, a sentence each: that the actors were trained on, that a
            protocol leaks.
    """

    answers: dict[str, Answers]
    figures: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def report(self) -> "Report":
        """All figures, with their intervals."""
        first = next(iter(self.answers.values()))
        figures = {name: answers.bounded() for name, answers in self.answers.items()}
        notes = list(self.notes)
        groups = next(iter(figures.values())).get("groups", FEW)
        if groups < 2:
            notes.append("There is one person only: nothing can be said of how it would be with others.")
        elif groups < FEW:
            notes.append(f"The intervals come from {groups:.0f} people, and are too narrow for that.")
        return Report(figures, dict(self.figures), notes, list(first.labels), first.confusion())


@dataclass(frozen=True)
class Report:
    """An evaluation in figures.

    Attributes:
        answers: the figures of each of the evaluation's answers, by name; the first is the one that counts.
        figures: what is not of answers alone.
        notes: what has to be known of them.
        labels: the classes, in the order of `confusion`.
        confusion: the first answers' counts; a row for what was expressed, a column for what was answered.
    """

    answers: dict[str, dict[str, float]]
    figures: dict[str, float]
    notes: list[str]
    labels: list[str]
    confusion: list[list[int]]

    def flat(self) -> dict[str, float]:
        """Every figure in one table: the first answers' as they are, the others' with their name before it."""
        (_, first), *others = self.answers.items()
        flat = dict(first)
        for name, figures in others:
            flat |= {f"{name}_{figure}": value for figure, value in figures.items()}
        return flat | self.figures

    def json(self) -> dict[str, Any]:
        """Numbers by name, and `notes`, `labels` and `confusion`."""
        return {**self.flat(), "notes": self.notes, "labels": self.labels, "confusion": self.confusion}


def need_labels(found: Sequence[str], expected: Sequence[str], path: Path | None) -> None:
    """Refuse to score a model on data with other labels, or with the same in another order.

    Raises:
        ModelError: the labels differ.
    """
    if list(found) != list(expected):
        raise ModelError(
            f"{path or 'the shipped weights'}: its labels are {', '.join(found)}, "
            f"but the data's are {', '.join(expected)}; choose weights that were trained on this kind of data"
        )
