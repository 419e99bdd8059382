"""Causal smoothing of distributions, in seconds rather than frames, and in log-probabilities."""

import math
from collections.abc import Hashable, Sequence

from emopipe.models.fusion.opinion_pool import normalised, softmax
from emopipe.pipeline.clock import SECOND

_MIN_WEIGHT = 1e-3  # the weight of an observation that is sure of nothing


class _KeyState:
    """The smoothed log-probabilities of one key."""

    def __init__(self) -> None:
        self.pts = 0
        self.weight = 0.0
        self.logs: list[float] = []


class Smoother:
    """One exponentially weighted mean of log-probabilities for each key (a face, the voice):

        mean = Σ wᵢ e^(-(t - tᵢ)/τ) log pᵢ  /  Σ wᵢ e^(-(t - tᵢ)/τ)

    over the observations so far, with their real times and weights: the same at 15 and at 60 frames a second, a
    sure observation counts for more, and the first one comes out as it went in.

    Args:
        time_constant: τ in s; 0 leaves every distribution as it is.
        forget: a key not seen for longer than this (s) starts anew.
    """

    def __init__(self, time_constant: float, forget: float) -> None:
        self._time_constant = time_constant * SECOND
        self._forget = forget * SECOND
        self._states: dict[Hashable, _KeyState] = {}

    def push(self, key: Hashable, pts: int, distribution: Sequence[float], weight: float) -> list[float]:
        """The smoothed distribution of `key` at `pts` (ns), which must not go back; `weight` is at least 0."""
        if not self._time_constant:
            return list(distribution)
        # Faces leave for good: without this a long recording would keep them all.
        self._states = {name: state for name, state in self._states.items() if pts - state.pts <= self._forget}
        state = self._states.setdefault(key, _KeyState())
        weight = max(weight, _MIN_WEIGHT)
        logs = [math.log(p) for p in normalised(distribution)]
        kept = state.weight * math.exp(-(pts - state.pts) / self._time_constant) if state.logs else 0.0
        total = kept + weight
        old = state.logs or logs
        state.logs = [(kept * a + weight * b) / total for a, b in zip(old, logs, strict=True)]
        state.weight = total
        state.pts = pts
        return softmax(state.logs)
