"""The options of a predictor that hold for all its models, and the threads they infer with."""

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from emopipe.models import calibration
from emopipe.models.calibration import Prior, Selection

DEFAULT_RISK = 0.3


class Options(msgspec.Struct, frozen=True):
    """See `emopipe.predictor.EmotionPredictor`; `risk` is None where nobody chose one."""

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

    In the child of a fork it is always one: OpenMP's others did not come along, and it would wait for them for ever.
    """
    import torch

    with _inference.lock:
        before = torch.get_num_threads()
        torch.set_num_threads(1 if _inference.forked else count)
        try:
            yield
        finally:
            torch.set_num_threads(before)
