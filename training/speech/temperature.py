"""Fitting how a temperature depends on the length of what was heard."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from emopipe.models.speech.temperature import Knot

KNOTS_S = (0.5, 1.0, 2.0, 3.0)
_STIFFNESS = 1e-3  # so that a knot near which nothing was heard follows its neighbours


def fit_temperatures(logits: Tensor, targets: Tensor, seconds: Tensor, knots: Sequence[float] = KNOTS_S) -> list[Knot]:
    """The temperatures at `knots` (s) that minimise the NLL of softmax(logits / T), as in `models.speech.temperature`.

    Args:
        logits: [N, classes], of people the network was not trained on.
        targets: [N] class indices.
        seconds: [N] how much speech each was made of.
    """
    places = np.log(np.array(knots))
    shares = torch.from_numpy(
        np.stack([np.interp(np.log(seconds.double().numpy()), places, row) for row in np.eye(len(knots))], axis=1)
    )
    logits, targets = logits.detach().double().cpu(), targets.cpu()
    log_t = torch.zeros(len(knots), dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([log_t], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        nll = F.cross_entropy(logits / (shares @ log_t).exp()[:, None], targets)
        loss = nll + _STIFFNESS * log_t.diff().square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return list(zip(knots, log_t.detach().exp().tolist(), strict=True))
