"""The network on vectors of speech (`emopipe.models.speech.embedding`): linear, with a gate and a distance.

The vectors hold what is known of speech in general, so that what tells emotions apart in them is a plane. It is worked
out in one step (`emopipe.training.speech.discriminant`), and nothing in it depends on a seed or a schedule. It is
NumPy's: a process that hears voices needs no torch.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from emopipe.models.labels import SPEECH
from emopipe.models.speech.features import Floats, row_products

LIMIT = 6.0
"""Standard deviations from the mean at which a number of a vector is cut off."""

ABOUT = 2
"""The first numbers of a vector say how much was heard, and are not looked at."""


class Outputs(NamedTuple):
    """What a network makes of N rows, float32: logits [N, classes] and embeddings [N, D]."""

    logits: Floats
    embeddings: Floats


class Statistics(NamedTuple):
    """Mean and deviation of what a network takes, [D] each."""

    mean: Floats
    deviation: Floats


class Head:
    """Vectors [N, D] in, logits [N, classes] out.

    Its embedding is the standardised vector without its first `ABOUT` numbers.

    Args:
        weights: by the names that a checkpoint has.
        inputs: D.
        classes: how many labels.
        directions: in which the distance from the training data is measured one by one.

    Raises:
        ValueError: weights are missing or of another shape, or there are others.
    """

    def __init__(
        self, weights: Mapping[str, ArrayLike], inputs: int, classes: int = len(SPEECH), directions: int = 128
    ) -> None:
        self.width = inputs - ABOUT
        self.classes = classes
        self.weights = {name: np.ascontiguousarray(array, np.float32) for name, array in weights.items()}
        shapes = {
            "mean": (inputs,),
            "scale": (inputs,),
            "linear.weight": (classes, self.width),
            "linear.bias": (classes,),
            "gate.weight": (1, self.width),
            "gate.bias": (1,),
            "directions": (directions, self.width),
            "variances": (directions + 1,),
        }
        found = {name: array.shape for name, array in self.weights.items()}
        if wrong := sorted({*shapes.items()} ^ {*found.items()}):
            raise ValueError(f"{wrong[0][0]} is missing, of another shape, or not the network's")

    def outputs(self, rows: Sequence[Floats]) -> Outputs:
        """Logits and embeddings of N vectors [D], at least one; the bits of each depend on no other."""
        embeddings = [self.embed(row[None]) for row in rows]
        return Outputs(*(np.concatenate(each) for each in ([self.classify(e) for e in embeddings], embeddings)))

    def embed(self, rows: Floats) -> Floats:
        """Vectors [N, D] -> [N, width]."""
        standard = (rows - self.weights["mean"]) * self.weights["scale"]
        return standard[:, ABOUT:].clip(-LIMIT, LIMIT)

    def classify(self, embedding: Floats) -> Floats:
        """Logits [N, classes] of what `embed` made."""
        return self._linear(embedding, "linear")

    def voice(self, embedding: Floats) -> Floats:
        """The logit [N] of its being a voice at all."""
        return self._linear(embedding, "gate")[:, 0]

    def distance(self, embedding: Floats) -> Floats:
        """How far [N] from the training data: the Mahalanobis distance squared, over its dimensions; 1 is as usual.

        Beyond the `directions` the data varies in most, all others count as one, with their mean variance.
        """
        variances = self.weights["variances"]
        along = row_products(embedding, self.weights["directions"]) ** 2
        beyond = ((embedding**2).sum(1) - along.sum(1)).clip(min=0)
        result: Floats = ((along / variances[:-1]).sum(1) + beyond / variances[-1]) / np.float32(self.width)
        return result

    def statistics(self) -> Statistics:
        """Those of the training speakers' vectors."""
        return Statistics(self.weights["mean"], np.reciprocal(self.weights["scale"]))

    def state_dict(self) -> dict[str, Floats]:
        """The weights by name, as torch's networks give theirs."""
        return self.weights

    def _linear(self, rows: Floats, layer: str) -> Floats:
        products: Floats = row_products(rows, self.weights[f"{layer}.weight"]) + self.weights[f"{layer}.bias"]
        return products
