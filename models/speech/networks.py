"""Networks for voices, by name: MFCC with deltas in, one logit a label of `labels.SPEECH` out."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from emopipe.models.labels import SPEECH
from emopipe.models.speech.features import Floats, MfccSpec, window_features
from emopipe.models.speech.heads import Outputs, Statistics


class SpeechNetwork(nn.Module):
    """Base of networks for voices: features [N, T, inputs] of any T in, logits [N, classes] out.

    The features are standardised by the statistics of the training actors, kept as buffers.

    Args:
        inputs: features a frame.
        width: length of the embedding.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))

    def standardise(self, features: Tensor) -> None:
        """Take mean and standard deviation from features [frames, inputs] of the training data."""
        self.mean.copy_(features.mean(0))
        self.scale.copy_(1 / features.std(0).clamp(min=1e-3))

    def embed(self, features: Tensor) -> Tensor:
        """Features [N, T, inputs] -> [N, width]: what the network knows of each window before it decides."""
        raise NotImplementedError

    def classify(self, embedding: Tensor) -> Tensor:
        """Logits [N, classes] of what `embed` made."""
        raise NotImplementedError

    def forward(self, features: Tensor) -> Tensor:
        return self.classify(self.embed(features))

    def member_logits(self, features: Tensor) -> list[Tensor]:
        """The logits of everybody who is trained on the labels for himself: here the network alone."""
        return [self(features)]

    def statistics(self) -> Statistics:
        """Those of the training speakers' features."""
        return Statistics(self.mean.cpu().numpy(), self.scale.reciprocal().cpu().numpy())

    @torch.inference_mode()
    def outputs(self, rows: Sequence[Floats], spec: MfccSpec) -> Outputs:
        """What it makes of MFCC [T, coefficients] each, at least of one.

        On a CPU they go through one by one: a GEMM rounds differently for different batch sizes (measured: a batch of
        two already differs in the last bit), while a replay has to give the same bits for all. A voice has but two
        windows a second. On another device those of one length go through together.
        """
        device = self.mean.device
        logits: list[Tensor] = [torch.empty(0)] * len(rows)
        embeddings = list(logits)
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        for _, group in groupby(order, key=lambda index: index if device.type == "cpu" else len(rows[index])):
            same = list(group)
            inputs = torch.from_numpy(np.stack([rows[index] for index in same])).to(device)
            embedding = self.embed(window_features(inputs, spec))
            for index, row, vector in zip(same, self.classify(embedding).cpu(), embedding.cpu(), strict=True):
                logits[index], embeddings[index] = row, vector
        return Outputs(torch.stack(logits).numpy(), torch.stack(embeddings).numpy())


class SingleNetwork(SpeechNetwork):
    """A network that makes one vector of a window, and decides by it.

    A new network is one class that says in `summarise` what becomes of standardised features; `NETWORKS` names it.

    Args:
        summary: length of the vector that `summarise` makes.
        inputs: features a frame.
        classes: how many labels.
        embedding: length of the vector by which `embed` describes a window.
        dropout: probability of dropping an activation, between the layers.
    """

    def __init__(self, summary: int, inputs: int, classes: int, embedding: int, dropout: float) -> None:
        super().__init__(inputs, embedding)
        self.projection = nn.Sequential(nn.Linear(summary, embedding), nn.ReLU())
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(embedding, classes)

    def summarise(self, standard: Tensor) -> Tensor:
        """Standardised features [N, T, inputs] -> one vector for each window, [N, summary]."""
        raise NotImplementedError

    def embed(self, features: Tensor) -> Tensor:
        result: Tensor = self.projection(self.summarise((features - self.mean) * self.scale))
        return result

    def classify(self, embedding: Tensor) -> Tensor:
        logits: Tensor = self.head(self.dropout(embedding))
        return logits


class AttentiveStatistics(nn.Module):
    """Mean and standard deviation over time, [N, S, width] -> [N, 2 * width], each step weighed by its worth.

    Okabe et al. (2018), Attentive statistics pooling for deep speaker embedding, arXiv:1803.10963.
    """

    def __init__(self, width: int, hidden: int = 64) -> None:
        super().__init__()
        self.attention = nn.Sequential(nn.Linear(width, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def forward(self, steps: Tensor) -> Tensor:
        weights = self.attention(steps).softmax(dim=1)
        mean = (weights * steps).sum(dim=1)
        variance = (weights * (steps - mean[:, None]).square()).sum(dim=1)
        return torch.cat([mean, (variance + 1e-5).sqrt()], dim=1)


class Activation(nn.Module):
    """Batch norm, ReLU and dropout of steps [N, S, channels]."""

    def __init__(self, channels: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)
        self.dropout = nn.Dropout(dropout)

    def forward(self, steps: Tensor) -> Tensor:
        result: Tensor = self.dropout(self.norm(steps.flatten(0, 1)).relu()).reshape(steps.shape)
        return result


class Grouping(nn.Module):
    """Four frames become one step of 40 ms: [N, T, inputs] -> [N, ceil(T / 4), channels].

    A convolution whose stride is its width, so that all that follows costs a quarter. The last group repeats the last
    frame: the shortest window still is one step.
    """

    FRAMES = 4

    def __init__(self, inputs: int, channels: int, dropout: float) -> None:
        super().__init__()
        self.linear = nn.Linear(self.FRAMES * inputs, channels)
        self.activation = Activation(channels, dropout)

    def forward(self, frames: Tensor) -> Tensor:
        missing = -frames.shape[1] % self.FRAMES
        whole = torch.cat([frames, frames[:, -1:].expand(-1, missing, -1)], dim=1)
        result: Tensor = self.activation(self.linear(whole.reshape(whole.shape[0], -1, self.linear.in_features)))
        return result


class Residual(nn.Module):
    """A dilated convolution of a step with its neighbours on either side, added to the step: [N, S, channels].

    Written as one matrix product over the steps: measured on one core of a CPU, a training step of the CNN then takes
    44 ms instead of 68 ms with `nn.Conv1d`, for which every new length of crop is a new shape to prepare for.
    """

    def __init__(self, channels: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.dilation = dilation
        self.linear = nn.Linear(3 * channels, channels)
        self.activation = Activation(channels, dropout)

    def forward(self, steps: Tensor) -> Tensor:
        far, count = self.dilation, steps.shape[1]
        padded = nn.functional.pad(steps, (0, 0, far, far))
        neighbours = [padded[:, place * far : place * far + count] for place in range(3)]
        result: Tensor = steps + self.activation(self.linear(torch.cat(neighbours, dim=2)))
        return result


class Recurrence(nn.Module):
    """A bidirectional LSTM: [N, S, channels] -> [N, S, 2 * hidden]."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(channels, hidden, batch_first=True, bidirectional=True)

    def forward(self, steps: Tensor) -> Tensor:
        result: Tensor = self.lstm(steps)[0]
        return result


class StepNetwork(SingleNetwork):
    """Steps of 40 ms that look around them, and attentive statistics of them."""

    def __init__(
        self, layers: Sequence[nn.Module], width: int, inputs: int, classes: int, embedding: int, dropout: float
    ) -> None:
        super().__init__(2 * width, inputs, classes, embedding, dropout)
        self.layers = nn.Sequential(*layers, AttentiveStatistics(width))

    def summarise(self, standard: Tensor) -> Tensor:
        pooled: Tensor = self.layers(standard)
        return pooled


class CNN(StepNetwork):
    """Dilated convolutions, each seeing twice as far as the one before it.

    Args:
        channels: of every convolution.
        blocks: how many convolutions.
    """

    def __init__(
        self,
        inputs: int = 120,
        classes: int = len(SPEECH),
        channels: int = 128,
        blocks: int = 3,
        embedding: int = 64,
        dropout: float = 0.3,
    ) -> None:
        layers = [
            Grouping(inputs, channels, dropout),
            *(Residual(channels, 2**depth, dropout) for depth in range(blocks)),
        ]
        super().__init__(layers, channels, inputs, classes, embedding, dropout)


class LSTM(StepNetwork):
    """A bidirectional LSTM.

    Args:
        channels: of the steps that it reads.
        hidden: its units in each direction.
    """

    def __init__(
        self,
        inputs: int = 120,
        classes: int = len(SPEECH),
        channels: int = 128,
        hidden: int = 64,
        embedding: int = 64,
        dropout: float = 0.3,
    ) -> None:
        layers = [Grouping(inputs, channels, dropout), Recurrence(channels, hidden)]
        super().__init__(layers, 2 * hidden, inputs, classes, embedding, dropout)


class CNNLSTM(StepNetwork):
    """Dilated convolutions, then a bidirectional LSTM over what they saw.

    Args:
        channels: of every convolution.
        blocks: how many convolutions.
        hidden: units of the LSTM in each direction.
    """

    def __init__(
        self,
        inputs: int = 120,
        classes: int = len(SPEECH),
        channels: int = 128,
        blocks: int = 2,
        hidden: int = 64,
        embedding: int = 64,
        dropout: float = 0.3,
    ) -> None:
        layers = [
            Grouping(inputs, channels, dropout),
            *(Residual(channels, 2**depth, dropout) for depth in range(blocks)),
            Recurrence(channels, hidden),
        ]
        super().__init__(layers, 2 * hidden, inputs, classes, embedding, dropout)


class Ensemble(SpeechNetwork):
    """Several networks, each trained for itself, that answer with the geometric mean of their distributions.

    Its embedding is theirs, one behind the other.

    Args:
        members: names in `NETWORKS` of single networks; one may stand there twice.
        options: their arguments, by name of the network; what stands under none is its default.
    """

    def __init__(
        self,
        members: Sequence[str],
        options: Mapping[str, Mapping[str, Any]] | None = None,
        inputs: int = 120,
        classes: int = len(SPEECH),
    ) -> None:
        shared = {"inputs": inputs, "classes": classes}
        networks = [SINGLE_NETWORKS[name](**shared, **(options or {}).get(name, {})) for name in members]
        super().__init__(inputs, sum(network.width for network in networks))
        self.members = nn.ModuleList(networks)

    def standardise(self, features: Tensor) -> None:
        super().standardise(features)
        for member in self._members():
            member.standardise(features)

    def embed(self, features: Tensor) -> Tensor:
        return torch.cat([member.embed(features) for member in self._members()], dim=1)

    def classify(self, embedding: Tensor) -> Tensor:
        widths = [member.width for member in self._members()]
        parts = zip(self._members(), torch.split(embedding, widths, dim=1), strict=True)
        return torch.stack([member.classify(part).log_softmax(dim=1) for member, part in parts]).mean(dim=0)

    def member_logits(self, features: Tensor) -> list[Tensor]:
        return [member(features) for member in self._members()]

    def _members(self) -> list[SingleNetwork]:
        return cast(list[SingleNetwork], list(self.members))


SINGLE_NETWORKS: dict[str, type[SingleNetwork]] = {"lstm": LSTM, "cnn": CNN, "cnn-lstm": CNNLSTM}
NETWORKS: dict[str, type[SpeechNetwork]] = {**SINGLE_NETWORKS, "ensemble": Ensemble}
