"""The options of a predictor that hold for all its models, and the threads they infer with."""

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


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Infer with so many threads of the CPU, and leave the caller's setting as it was."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
