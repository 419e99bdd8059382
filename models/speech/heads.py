"""The network on vectors of speech (`emopipe.models.speech.embedding`): linear, with a gate and a distance.

The vectors hold what is known of speech in general, so that what tells emotions apart in them is a plane. It is worked
out in one step (`emopipe.training.speech.discriminant`), and nothing in it depends on a seed or a schedule.
"""

import torch
from torch import Tensor, nn

from emopipe.models.labels import SPEECH
from emopipe.models.speech.networks import SpeechNetwork

LIMIT = 6.0
"""Standard deviations from the mean at which a number of a vector is cut off."""

ABOUT = 2
"""The first numbers of a vector say how much was heard, and are not looked at."""


class Head(SpeechNetwork):
    """Vectors [N, D] in, logits [N, classes] out.

    Its embedding is the standardised vector without its first `ABOUT` numbers.

    Args:
        inputs: D.
        classes: how many labels.
        directions: in which the distance from the training data is measured one by one.
    """

    directions: Tensor
    variances: Tensor

    def __init__(self, inputs: int, classes: int = len(SPEECH), directions: int = 128) -> None:
        super().__init__(inputs, inputs - ABOUT)
        self.linear = nn.Linear(self.width, classes)
        self.gate = nn.Linear(self.width, 1)
        self.register_buffer("directions", torch.zeros(directions, self.width))
        self.register_buffer("variances", torch.ones(directions + 1))

    def embed(self, features: Tensor) -> Tensor:
        standard = (features - self.mean) * self.scale
        return standard[:, ABOUT:].clamp(-LIMIT, LIMIT)

    def classify(self, embedding: Tensor) -> Tensor:
        logits: Tensor = self.linear(embedding)
        return logits

    def voice(self, embedding: Tensor) -> Tensor:
        """The logit [N] of its being a voice at all."""
        logits: Tensor = self.gate(embedding)[:, 0]
        return logits

    def distance(self, embedding: Tensor) -> Tensor:
        """How far [N] from the training data: the Mahalanobis distance squared, over its dimensions; 1 is as usual.

        Beyond the `directions` the data varies in most, all others count as one, with their mean variance.
        """
        along = embedding @ self.directions.T
        beyond = (embedding.square().sum(1) - along.square().sum(1)).clamp(min=0)
        return ((along.square() / self.variances[:-1]).sum(1) + beyond / self.variances[-1]) / self.width
