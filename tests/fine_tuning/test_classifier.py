"""The last layer: what few examples teach, and how certain they can make it."""

from pathlib import Path

import pytest
import torch

from emopipe.fine_tuning.classifier import Examples, Settings, learn
from emopipe.fine_tuning.labelled import Labelled

LABELS = ("a", "b", "c")


@pytest.mark.parametrize("each", [5, 40])
def test_classes_that_are_told_apart_without_a_mistake_are_no_certainty(each: int) -> None:
    torch.manual_seed(0)
    files = [Labelled(Path(f"{label}/{number}"), label, "") for label in LABELS for number in range(each)]
    centres = torch.eye(3, dtype=torch.float64).repeat_interleave(each, 0)
    examples = Examples(files, centres + 0.01 * torch.randn(centres.shape), torch.ones(len(files), dtype=torch.float64))
    learnt = learn(examples, LABELS, Settings())
    found = learnt.answers.figures()
    assert found["accuracy"] == 1.0
    calibrated = torch.softmax(learnt.answers.logits / learnt.temperature, dim=1).max(dim=1).values
    count = len(files)
    assert float(calibrated.mean()) == pytest.approx((count + 1) / (count + 2), abs=0.004)
