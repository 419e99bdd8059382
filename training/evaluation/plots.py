"""An evaluation in pictures: which classes are taken for which, and how far confidence can be believed.

Figures are made without pyplot: nothing global, no display, usable from a notebook.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from emopipe.pipeline.errors import EmopipeError
from emopipe.training.evaluation import metrics
from emopipe.training.evaluation.results import Answers, Evaluation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe & Ito (2008): told apart with any kind of colour vision, and in grey.
BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#8C8C8C"
DPI = 150


def draw(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write `<answers>-confusion.png` and `<answers>-reliability.png` for each of the evaluation's answers.

    Raises:
        EmopipeError: the folder cannot be written.
    """
    paths = []
    for name, answers in evaluation.answers.items():
        title = name.replace("_", " ")
        pictures = {"confusion": confusion(answers, title), "reliability": reliability(answers, title)}
        for kind, figure in pictures.items():
            paths.append(folder / f"{name}-{kind}.png")
            try:
                folder.mkdir(parents=True, exist_ok=True)
                figure.savefig(paths[-1], dpi=DPI)
            except OSError as error:
                raise EmopipeError(f"{paths[-1]}: cannot be written ({error.strerror})") from None
    return paths


def confusion(answers: Answers, title: str) -> Figure:
    """A row for what was expressed, a column for what was answered: colour is the share of the row, text the count."""
    counts = np.array(answers.confusion())
    support = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(support, 1)
    size = 1.9 + 0.58 * len(counts)
    figure = Figure(figsize=(size + 0.3, size), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(counts))
    axes.set_xticks(ticks, list(answers.labels), rotation=40, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, [f"{label}  {count}" for label, count in zip(answers.labels, support[:, 0], strict=True)])
    axes.set(xlabel="answered", ylabel="expressed")
    accuracy = np.trace(counts) / counts.sum()
    axes.set_title(f"{title}: {accuracy:.1%} of {counts.sum():,} right", fontsize=11, loc="left")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for row, column in np.ndindex(*counts.shape):
        if counts[row, column]:
            share = shares[row, column]
            colour = "white" if share > 0.55 else "black"
            axes.text(
                column, row, f"{share:.0%}\n{counts[row, column]}", ha="center", va="center", color=colour, fontsize=8
            )
    return figure


def reliability(answers: Answers, title: str) -> Figure:
    """The reliability diagram: accuracy by confidence, above the number of answers; a grey line before calibration."""
    targets = answers.targets.cpu().numpy()
    after = metrics.reliability(answers.probabilities().numpy(), targets)
    before = metrics.reliability(metrics.calibrate(answers.logits, 1.0).softmax(dim=1).numpy(), targets)
    figure = Figure(figsize=(4.6, 5.2), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    edges = np.linspace(0, 1, metrics.BIN_COUNT + 1)
    width, middle = 1 / metrics.BIN_COUNT, (edges[:-1] + edges[1:]) / 2
    some = after.counts > 0

    upper.bar(middle[some], after.accuracy[some], 0.92 * width, color=BLUE, alpha=0.35)
    upper.plot([0, 1], [0, 1], color="black", linewidth=0.8, linestyle=(0, (4, 3)))
    often = before.counts >= max(5, 0.005 * before.counts.sum())
    upper.plot(
        before.confidence[often],
        before.accuracy[often],
        color=GREY,
        linewidth=1.5,
        label=f"before calibration: ECE {before.error:.1%}",
    )
    # From what the answers of a bin claim to what they deserve.
    upper.vlines(after.confidence[some], after.accuracy[some], after.confidence[some], color=ORANGE, linewidth=2.5)
    upper.plot(
        after.confidence[some],
        after.accuracy[some],
        "o",
        color=BLUE,
        markersize=5,
        clip_on=False,
        label=f"calibrated: ECE {after.error:.1%}",
    )
    upper.set(ylabel="share that is right", xlim=(0, 1), ylim=(0, 1))
    upper.set_title(f"{title}: how far confidence can be believed", fontsize=11, loc="left")
    upper.legend(frameon=False, fontsize=8, loc="upper left")
    lower.bar(middle, after.counts, 0.92 * width, color=BLUE, alpha=0.35)
    lower.set(xlabel="confidence", ylabel="answers")
    _mean_lines(lower, answers, targets)
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _mean_lines(axes: "Axes", answers: Answers, targets: NDArray[Any]) -> None:
    """Mean confidence and accuracy: where they are apart, the model is too sure or too modest as a whole."""
    probabilities = answers.probabilities().numpy()
    accuracy = float((probabilities.argmax(axis=1) == targets).mean())
    confidence = float(probabilities.max(axis=1).mean())
    axes.axvline(accuracy, ymax=0.7, color="black", linewidth=1, label=f"accuracy {accuracy:.1%}")
    axes.axvline(
        confidence, ymax=0.7, color=ORANGE, linewidth=1.5, linestyle="--", label=f"confidence {confidence:.1%}"
    )
    axes.set_ylim(top=1.5 * axes.get_ylim()[1])  # room for the legend
    axes.legend(frameon=False, fontsize=8, loc="upper left", ncols=2)
