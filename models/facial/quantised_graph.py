"""An ONNX graph for faces in integers of 8 bits (post-training static quantisation).

An activation is uint8 with a scale and a zero point for all of it, by the range that it had over training faces: what
lies outside saturates. Where it can only be positive its zero point is 0, so that rounding to uint8 is its ReLU.
Weights are int8 with a scale for each output channel, in 7 bits: CPUs without VNNI add products in pairs of 16 bits,
which two of 8 would overflow. What is summed are integers, so a face has the same bits in any batch.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emopipe.models.facial.float_graph import CONVOLUTION, FACES, ONNX_RUNTIME, Arrays, FloatGraph

RANGES = "activation_ranges"
"""Their name among a checkpoint's arrays: least and largest of each activation, float32 [V, 2], the faces' first."""

MAX_WEIGHT = 63
MAX_LEVEL = 255


class _Levels(NamedTuple):
    """How an activation is written in integers: names of its scale and zero point, and the scale itself."""

    scale: str
    zero: str
    size: float


class QuantisedGraph(FloatGraph):
    """A graph that computes in 8 bits from the faces to the mean over all pixels.

    Args:
        ranges: those of the input and of `FloatGraph.observed`, [V, 2].

    Raises:
        ValueError: ranges of another network.
    """

    def __init__(self, weights: Arrays, ranges: NDArray[np.float32]) -> None:
        super().__init__(weights)
        if ranges.ndim != 2 or ranges.shape[1] != 2 or not (np.isfinite(ranges).all() and (ranges[:, 1] > 0).all()):
            raise ValueError(f"{RANGES} are not the least and largest values of activations")
        self._ranges = list(ranges.astype(np.float64))
        self._levels: dict[str, _Levels] = {}

    def faces(self) -> str:
        levels = self._next_levels()
        return self._keep(self.add("QuantizeLinear", FACES, levels.scale, levels.zero), levels)

    def convolution(self, x: str, name: str, norm: str, channels: tuple[int, int], beside: str = "") -> str:
        kernel, bias = self.merged(name, norm, channels)
        size = np.maximum(np.abs(kernel).max(axis=(1, 2, 3)) / MAX_WEIGHT, np.finfo(np.float32).tiny)
        given, made = self._levels[x], self._next_levels()
        y = self.add(
            "QLinearConv",
            *(x, given.scale, given.zero),
            self.constant(np.rint(kernel / size[:, None, None, None]).astype(np.int8)),
            self.constant(size.astype(np.float32)),
            self.constant(np.zeros(len(size), np.int8)),
            *(made.scale, made.zero),
            self.constant(np.rint(bias / (size * given.size)).astype(np.int32)),
            **CONVOLUTION,
        )
        self._keep(y, made)
        return self._sum(y, beside) if beside else y

    def halve(self, x: str) -> str:
        return self._keep(super().halve(x), self._levels[x])

    def mean(self, x: str) -> str:
        levels = self._levels[x]
        return super().mean(self.add("DequantizeLinear", x, levels.scale, levels.zero))

    def model(self, embedded: str, width: int, classes: int, shown: Sequence[str] = ()) -> bytes:
        if self._ranges:
            raise ValueError(f"{RANGES} are too many")
        return super().model(embedded, width, classes, shown)

    def _sum(self, x: str, y: str) -> str:
        one, other, made = self._levels[x], self._levels[y], self._next_levels()
        values = (x, one.scale, one.zero, y, other.scale, other.zero, made.scale, made.zero)
        return self._keep(self.add("QLinearAdd", *values, domain=ONNX_RUNTIME), made)

    def _next_levels(self) -> _Levels:
        if not self._ranges:
            raise ValueError(f"{RANGES} are too few")
        least, largest = self._ranges.pop(0)
        least = min(least, 0.0)
        size = np.float32((largest - least) / MAX_LEVEL)
        zero = np.uint8(np.rint(-least / size))
        return _Levels(self.constant(size), self.constant(zero), float(size))

    def _keep(self, value: str, levels: _Levels) -> str:
        self._levels[value] = levels
        return value
