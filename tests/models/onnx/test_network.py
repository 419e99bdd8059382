"""A model of another maker run: labels, logits and probabilities, temperature, and what it must not do."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from emopipe.models.calibration import softmax
from emopipe.models.onnx.files import read
from emopipe.models.onnx.network import Answers, OnnxNetwork, model_labels
from emopipe.pipeline.errors import ModelError
from tests.support.onnx_models import onnx_model

WEIGHTS = [[1.0, -1.0, 0.5]]
BIAS = [0.0, 0.3, -0.2]
ROWS = [np.full((1, 1, 64, 64), level, np.float32) for level in (0.0, 0.5, -2.0)]


def network(
    path: Path, gives: Answers = "auto", temperature: float = 1.0, named: Sequence[str] = (), **model: Any
) -> OnnxNetwork:
    file = read(onnx_model(path / "own.onnx", weights=WEIGHTS, bias=BIAS, **model))
    output = file.output()
    return OnnxNetwork(file, output, model_labels(file, output, named), gives, temperature, 1, ROWS[:2])


@pytest.mark.parametrize("probabilities", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_logits_and_probabilities_are_told_apart_and_give_the_same(
    tmp_path: Path, probabilities: bool, temperature: float
) -> None:
    model = network(tmp_path, temperature=temperature, probabilities=probabilities)
    assert model.gives == ("probabilities" if probabilities else "logits")
    for row in ROWS:
        expected = softmax(row.mean() * np.array(WEIGHTS) + np.array(BIAS), temperature)[0]
        np.testing.assert_allclose(model.probabilities(row), expected, atol=1e-6)


def test_names_of_the_settings_come_before_those_of_the_file(tmp_path: Path) -> None:
    assert network(tmp_path).labels == ("happy", "sad", "neutral")
    assert network(tmp_path, named=["bored", "engaged", "confused"]).labels == ("bored", "engaged", "confused")


def test_labels_that_do_not_fit_are_told(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"labels has 2 names, but the output .* has 3 numbers; name each of them"):
        network(tmp_path, named=["a", "b"])
    with pytest.raises(ModelError, match=r'its metadata entry "labels" has 3 names, but the output .* has 4 numbers'):
        network(tmp_path, outputs=4)
    with pytest.raises(ModelError, match=r"does not say what its 3 outputs are called; set labels = "):
        network(tmp_path, metadata=False)
    with pytest.raises(ModelError, match='labels: "a" is there twice'):
        network(tmp_path, named=["a", "a", "b"])
    with pytest.raises(ModelError, match='labels: "<i>" is no label'):
        network(tmp_path, named=["a", "<i>", "b"])


def test_what_is_called_probabilities_must_be_some(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="gives no probabilities that add up to 1"):
        network(tmp_path, gives="probabilities")


def test_numbers_that_are_none_are_told(tmp_path: Path) -> None:
    model = network(tmp_path)
    with pytest.raises(ModelError, match="holds what is no number"):
        model.probabilities(np.full((1, 1, 64, 64), np.nan, np.float32))


def test_an_input_that_the_model_does_not_take_is_told(tmp_path: Path) -> None:
    model = network(tmp_path)
    with pytest.raises(ModelError, match=r"own\.onnx: cannot infer float32 \[1, 1, 9, 9\]"):
        model.probabilities(np.zeros((1, 1, 9, 9), np.float32))
