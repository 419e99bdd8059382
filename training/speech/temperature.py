"""Fitting how far a voice's logits are to be believed, on speech of people the network was not trained on."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from emopipe.models.labels import SPEECH
from emopipe.models.speech.temperature import Context, Temperature

KNOTS_S = (0.5, 1.0, 2.0, 3.0)
_STIFFNESS = 1e-3  # so that a knot near which nothing was heard follows its neighbours
_RESTING = [SPEECH.index("neutral"), SPEECH.index("calm")]


def fit_temperature_of(
    logits: Tensor,
    targets: Tensor,
    context: Context,
    weights: Tensor | None = None,
    calm_is_neutral: Tensor | None = None,
    knots: Sequence[float] = KNOTS_S,
) -> Temperature:
    """The temperature that minimises the NLL of softmax(logits / T).

    What the context does not vary in stays without influence.

    Args:
        logits: [N, classes].
        targets: [N] class indices.
        context: of the rows.
        weights: [N] how much each counts; alike if None.
        calm_is_neutral: [N] whether either answer is right where *neutral* is: few corpora have *calm*.
        knots: lengths (s).
    """
    places = np.log(np.array(knots))
    lengths = np.log(np.maximum(context.seconds, 1e-3))
    shares = np.stack([np.interp(lengths, places, row) for row in np.eye(len(knots))], axis=1)
    inputs = torch.from_numpy(
        np.concatenate([shares, np.log(np.maximum(context.distance, 1e-3))[:, None], context.known[:, None]], axis=1)
    )
    logits, targets = logits.detach().double().cpu(), targets.cpu()
    weights = torch.ones(len(targets)) if weights is None else weights
    weights = weights.double() / weights.sum()
    either = torch.zeros(len(targets), dtype=torch.bool) if calm_is_neutral is None else calm_is_neutral
    either = either & (targets == _RESTING[0])
    values = torch.zeros(len(knots) + 2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([values], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        logs = (logits / (inputs @ values).exp()[:, None]).log_softmax(dim=1)
        right = logs.gather(1, targets[:, None])[:, 0]
        right = torch.where(either, logs[:, _RESTING].logsumexp(dim=1), right)
        loss = -(weights * right).sum() + _STIFFNESS * values[: len(knots)].diff().square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    *at_knots, distance, known = values.detach().tolist()
    return Temperature(list(zip(knots, np.exp(at_knots).tolist(), strict=True)), distance, known)
