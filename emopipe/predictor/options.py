"""The options of a predictor: the settings of the stages that it stands for, and the threads it infers with."""

import os
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import msgspec

from emopipe.models import calibration
from emopipe.models.calibration import Prior, Selection
from emopipe.models.labels import Vocabulary, vocabulary
from emopipe.models.thresholds import DEFAULT_RISK
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.graph.settings import convert
from emopipe.pipeline.stage import Stage
from emopipe.pipeline.text import instead, show
from emopipe.stages.faces.detection import FaceDetection
from emopipe.stages.faces.inference import FacialInference
from emopipe.stages.fusion.stage import Fusion
from emopipe.stages.inference import Inference, emotions_problems
from emopipe.stages.speech.inference import SpeechInference
from emopipe.stages.speech.windows import SpeechWindows


class StageSettings(NamedTuple):
    """The settings of all stages that a predictor is made of the parts of."""

    detection: FaceDetection.Settings
    facial: FacialInference.Settings
    windows: SpeechWindows.Settings
    speech: SpeechInference.Settings
    fusion: Fusion.Settings


STAGES: dict[str, type[Stage]] = {
    stage.name: stage for stage in (FaceDetection, FacialInference, SpeechWindows, SpeechInference, Fusion)
}
"""Their stages, by the names that graphs use, in the order of the fields above."""


def read_settings(tables: Mapping[str, Mapping[str, Any]]) -> StageSettings:
    """The settings of each stage, by its name; those that are not given are the stage's own.

    Raises:
        EmopipeError: no such stage or setting, or a value of a wrong type or out of range.
    """
    for name in tables:
        if name not in STAGES:
            raise EmopipeError(f"settings: no stage {show(name)} in a predictor; {instead(name, STAGES)}")
    found = []
    for name, stage in STAGES.items():
        settings, problems = convert(tables.get(name, {}), stage.Settings)
        if problems:
            raise EmopipeError("\n".join(f"{name}: {problem.key}: {problem.text}" for problem in problems))
        found.append(settings)
    return StageSettings(*found)  # type: ignore[arg-type]  # as STAGES says


class Options(msgspec.Struct, frozen=True):
    """How one model infers; `risk` is None where nobody chose one."""

    device: str
    prior: Prior
    risk: float | None
    threads: int

    def threshold(self, selective: Sequence[Selection]) -> float:
        """The confidence below which a prediction is uncertain.

        Raises:
            ModelError: a risk was chosen that the weights cannot promise.
        """
        if self.risk is None:
            return calibration.threshold(selective, DEFAULT_RISK) if selective else 0.0
        return calibration.threshold(selective, self.risk)


def own_vocabulary(labels: Sequence[str], stage: Inference.Settings) -> Vocabulary:
    """What the results of a model with these labels are given in, as its stage gives them.

    Raises:
        EmopipeError: the setting `emotions` names no label of the model, or no emotion.
    """
    if problems := emotions_problems(stage.emotions, labels, stage.labels):
        raise EmopipeError(f"{stage.task}-inference: emotions: {problems[0].text}")
    return vocabulary(labels, stage.labels, stage.emotions)


class _Inference:
    """What there is once in a process: how many threads PyTorch has, and whether those of before a fork are gone."""

    def __init__(self, forked: bool = False) -> None:
        self.lock = threading.RLock()
        self.forked = forked


_inference = _Inference()


def _after_fork() -> None:
    global _inference  # noqa: PLW0603
    _inference = _Inference(forked=True)  # whoever held the lock is not in the child


if hasattr(os, "register_at_fork"):  # where there is fork
    os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Infer with so many threads of the CPU, one caller at a time, and leave the caller's setting as it was.

    They are torch's: where it is not loaded, nothing needs it. In the child of a fork it is always one: OpenMP's others
    did not come along, and it would wait for them for ever.
    """
    with _inference.lock:
        if "torch" not in sys.modules:
            yield
            return
        import torch  # which waits where another thread is about it

        before = torch.get_num_threads()
        torch.set_num_threads(1 if _inference.forked else count)
        try:
            yield
        finally:
            torch.set_num_threads(before)
