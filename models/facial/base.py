"""The base of every network for faces: the preparation of crops, and the interface of training and inference."""

from itertools import pairwise
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from emopipe.models.facial.crops import SIZE, standardise


def prepare(gray: NDArray[np.uint8] | Tensor) -> Tensor:
    """Standardise grey crops, each by its own mean and deviation: [N, 48, 48] → float32 [N, 1, 48, 48].

    So light and contrast are taken out before any network sees a face, by one rule for training, evaluation, export
    and the stages (`emopipe.models.facial.crops.standardise`), so that they cannot drift apart.

    Args:
        gray: whole levels, 0–255; also as [N, 1, 48, 48].
    """
    images = torch.as_tensor(gray)
    images = (images.unsqueeze(1) if images.ndim == 3 else images).to(torch.float64)
    prepared: Tensor = standardise(images).to(torch.float32)
    return prepared


class Judgement(NamedTuple):
    """What a network makes of N faces: logits [N, classes] of what people see and of what FER2013 would call it, and
    how far the faces are from those it was trained on, [N] (`FaceNetwork.distance`)."""

    people: Tensor
    fer2013: Tensor
    distance: Tensor


class FaceNetwork(nn.Module):
    """Base of networks for faces. A new one is one class, and its name in `emopipe.models.facial.networks.NETWORKS`:

        class Tiny(FaceNetwork):
            def __init__(self, dropout: float = 0.2, classes: int = len(FACE)) -> None:
                super().__init__(32, dropout, classes)
                self.features = nn.Sequential(nn.Conv2d(1, 32, 7, stride=4, bias=False), nn.BatchNorm2d(32), nn.ReLU())

            def embed(self, x: Tensor) -> Tensor:
                return self.features(x).mean((2, 3))

    Two linear layers judge by the same embedding, since the corpora disagree on what a face shows (FER+'s voters and
    FER2013's labels on 37 % of the images): `head` says what people see, as FER+'s voters and RAF-DB's do, and is all
    that the stages use; `fer2013_head` says what FER2013 would call it.

    Attributes:
        typical_length: the median length of the embeddings of training faces; 0 before training.
        size: height and width of the pictures it sees; `channels`: 1 for grey, 3 for colour.

    Args:
        width: of the embedding.
        dropout: share of the embedding that is dropped while training.
        classes: labels.
    """

    size: ClassVar[int] = SIZE
    channels: ClassVar[int] = 1

    def __init__(self, width: int, dropout: float, classes: int) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(width, classes)
        self.fer2013_head = nn.Linear(width, classes)
        self.typical_length: Tensor
        self.register_buffer("typical_length", torch.zeros(()))

    @staticmethod
    def prepare(images: Tensor) -> Tensor:
        """What the network sees of grey crops [N, 48, 48], levels 0–255. Networks of ours see `prepare`'s."""
        return prepare(images)

    def embed(self, x: Tensor) -> Tensor:
        """Faces [N, 1, 48, 48], as `prepare` makes them, → what the heads judge by, [N, head.in_features]."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Faces [N, 1, 48, 48] → logits [N, classes] of what people see."""
        logits: Tensor = self.head(self.dropout(self.embed(x)))
        return logits

    def labellings(self, x: Tensor) -> Tensor:
        """Faces [N, 1, 48, 48] → logits [N, 2, classes]: what people see, and what FER2013 would call it."""
        embedded = self.dropout(self.embed(x))
        return torch.stack([self.head(embedded), self.fer2013_head(embedded)], dim=1)

    def distance(self, embedded: Tensor) -> Tensor:
        """How far embeddings [N, width] are from the training faces', [N]: 1 for the typical one of these.

        It is how much shorter they are. What a network has not learnt to see excites it little: of nearly black, tiny,
        sideways or drawn faces and of what is no face, embeddings are shorter, while their Mahalanobis distance is no
        larger (docs/models/facial.md).
        """
        return self.typical_length / (embedded.square().sum(dim=1).sqrt() + 1e-6)

    def judge(self, x: Tensor) -> Judgement:
        """All that is to be said of faces [N, 1, 48, 48]. For inference: without dropout."""
        embedded = self.embed(x)
        people, fer2013 = (
            (embedded.unsqueeze(1) * head.weight).sum(dim=2) + head.bias for head in (self.head, self.fer2013_head)
        )
        return Judgement(people, fer2013, self.distance(embedded))

    def fold(self) -> None:
        """For inference only, in place: merge each batch norm into the convolution that stands right before it.

        A module must hold both in the order in which it applies them, as those here and torchvision's do.
        """
        for parent in list(self.modules()):
            children = list(parent.named_children())
            for (name, convolution), (next_name, norm) in pairwise(children):
                if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                    parent.add_module(name, fuse_conv_bn_eval(convolution, norm))
                    parent.add_module(next_name, nn.Identity())
