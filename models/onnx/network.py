"""A model of another maker in ONNX Runtime: rows in, distributions out."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from emopipe.models.calibration import softmax
from emopipe.models.labels import labels_problem
from emopipe.models.onnx.files import OnnxFile, Value
from emopipe.pipeline.errors import ModelError
from emopipe.pipeline.text import count, one_line

Answers = Literal["auto", "logits", "probabilities"]

MAX_SUM_ERROR = 1e-3  # of what is taken for a distribution
MIN_PROBABILITY = 1e-12


class OnnxNetwork:
    """A model on the CPU. Each row is inferred by itself, so its bits depend on no other.

    Attributes:
        labels: of the model's numbers, in their order.
        gives: what the numbers are.

    Args:
        file: see `read`.
        output: which output is taken.
        labels: see `model_labels`.
        gives: `auto` tries it with `probes`: what is a distribution for each of them is one.
        temperature: divides the logits, so that probabilities can be frequencies (Guo et al. 2017).
        threads: of the CPU.
        probes: inputs to try the model with, one row each.
    """

    def __init__(
        self,
        file: OnnxFile,
        output: Value,
        labels: tuple[str, ...],
        gives: Answers,
        temperature: float,
        threads: int,
        probes: Sequence[NDArray[Any]],
    ) -> None:
        import onnxruntime

        self.labels = labels
        self._file, self._output, self._temperature = file, output, temperature
        self._input = file.input().name
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 4  # what is wrong is raised, too
        try:
            self._session = onnxruntime.InferenceSession(
                file.path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's own, which share no base
            raise ModelError(f"{file.path}: ONNX Runtime cannot load it: {one_line(error)}") from None
        rows = [self._run(probe) for probe in probes]
        distributions = all(row.min() >= 0 and abs(row.sum() - 1) <= MAX_SUM_ERROR for row in rows)
        if gives == "probabilities" and not distributions:
            raise ModelError(
                f"{file.path}: the output {output} gives no probabilities that add up to 1 (several labels at once are "
                'none); if it gives logits, set gives = "logits"'
            )
        self.gives: Literal["logits", "probabilities"] = (
            gives if gives != "auto" else "probabilities" if distributions else "logits"
        )

    def probabilities(self, row: NDArray[Any]) -> list[float]:
        """One row of the input → a distribution over `labels`.

        Raises:
            ModelError: the model fails, or gives something else than numbers.
        """
        answer = self._run(row)
        if self.gives == "probabilities":
            if self._temperature == 1:
                return [float(each) for each in answer / answer.sum()]
            answer = np.log(np.maximum(answer, MIN_PROBABILITY))
        return [float(each) for each in softmax(answer[None], self._temperature)[0]]

    def _run(self, row: NDArray[Any]) -> NDArray[np.float64]:
        try:
            answer = np.asarray(self._session.run([self._output.name], {self._input: row})[0], np.float64)
        except Exception as error:  # ONNX Runtime's own, which share no base
            raise ModelError(f"{self._file.path}: cannot infer {_shape(row)}: {one_line(error)}") from None
        if answer.shape != (1, len(self.labels)):
            raise ModelError(
                f"{self._file.path}: the output {self._output} is {_shape(answer)}, which {len(self.labels)} labels "
                "do not name; name as many as it gives numbers"
            )
        if not np.isfinite(answer).all():
            raise ModelError(f"{self._file.path}: the output {self._output} holds what is no number (NaN or infinite)")
        result: NDArray[np.float64] = answer[0]
        return result


def model_labels(file: OnnxFile, output: Value, named: Sequence[str]) -> tuple[str, ...]:
    """The labels of a model: those that are named, else those of its metadata.

    Raises:
        ModelError: there are none, or not as many as the output has numbers.
    """
    if named and (problem := labels_problem(named)):
        raise ModelError(f"labels: {problem}")
    labels = tuple(named) or file.labels
    numbers = output.shape[1]
    if not labels:
        some = f"its {numbers} outputs" if numbers else "its outputs"
        raise ModelError(f'{file.path}: does not say what {some} are called; set labels = ["…", "…"], in their order')
    if numbers not in (None, len(labels)):
        where = "labels" if named else 'its metadata entry "labels"'
        raise ModelError(
            f"{file.path}: {where} has {count(len(labels), 'name')}, but the output {output} has {numbers} numbers; "
            "name each of them, in their order"
        )
    return labels


def _shape(array: NDArray[Any]) -> str:
    return f"{array.dtype} [{', '.join(map(str, array.shape))}]"
