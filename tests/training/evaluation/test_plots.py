from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from emopipe.pipeline.errors import EmopipeError
from emopipe.training.evaluation import plots
from emopipe.training.evaluation.results import Answers, Evaluation


def answers(classes: int = 3) -> Answers:
    random = torch.Generator().manual_seed(0)
    targets = torch.arange(60) % classes
    logits = torch.randn(60, classes, generator=random) + 2 * torch.nn.functional.one_hot(targets, classes)
    return Answers(logits, targets, "abcdefgh"[:classes], 0.5)


def test_draws_a_matrix_and_a_diagram_of_all_answers(tmp_path: Path) -> None:
    paths = plots.draw(Evaluation({"clips": answers(), "windows": answers(8)}), tmp_path / "new")
    assert [path.name for path in paths] == [
        "clips-confusion.png",
        "clips-reliability.png",
        "windows-confusion.png",
        "windows-reliability.png",
    ]
    for path in paths:
        picture = cv2.imread(str(path))
        assert picture is not None
        assert min(picture.shape[:2]) > 400
        assert np.unique(picture).size > 20


def test_the_matrix_tells_counts_and_shares() -> None:
    given = answers()
    axes = plots.confusion(given, "clips").axes[0]
    counts = np.array(given.confusion())
    shares = np.asarray(axes.images[0].get_array())
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    np.testing.assert_allclose(shares, counts / counts.sum(axis=1, keepdims=True))
    told = {text.get_position(): text.get_text() for text in axes.texts}
    assert (counts != counts.T).any()
    assert told == {  # x is what was answered, y what was expressed
        (column, row): f"{shares[row, column]:.0%}\n{count}" for (row, column), count in np.ndenumerate(counts) if count
    }
    assert [label.get_text() for label in axes.get_yticklabels()] == ["a  20", "b  20", "c  20"]
    assert axes.get_ylabel() == "expressed"


def test_the_diagram_tells_both_calibration_errors() -> None:
    given = answers()
    figures = given.figures()
    upper, lower = plots.reliability(given, "clips").axes
    legend = upper.get_legend()
    assert legend is not None
    told = [text.get_text() for text in legend.get_texts()]
    assert told == [
        f"before calibration: ECE {figures['ece_uncalibrated']:.1%}",
        f"calibrated: ECE {figures['ece']:.1%}",
    ]
    assert sum(bar.get_height() for bar in lower.patches) == 60  # type: ignore[attr-defined]


def test_a_class_without_examples_is_an_empty_row() -> None:
    shares = np.asarray(plots.confusion(answers().of(answers().targets != 1), "x").axes[0].images[0].get_array())
    assert shares[1].sum() == 0


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EmopipeError, match=r"file/clips-confusion\.png: cannot be written"):
        plots.draw(Evaluation({"clips": answers()}), tmp_path / "file")
