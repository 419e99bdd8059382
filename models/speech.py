"""Networks for voices: windows of MFCC in, one logit a label of `labels.SPEECH` out; and the model that stages run."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Self

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.calibration import Doubles, Prior, Selection, prior_odds, reweighed, softmax
from models.features import Floats, MfccSpec, window_features
from models.labels import SPEECH
from models.loading import load_network, pick_device
from pipeline.errors import ModelError


class LSTM(nn.Module):
    """A bidirectional LSTM with attention pooling: features [N, T, inputs] in, logits [N, classes] out.

    Two strided convolutions make one step of four frames (40 ms), which takes three quarters of the recurrence's
    time away. The pooling weighs each step by what it seems to be worth (Mirsamadi et al. 2017, ICASSP, pp.
    2227-2231). The features are standardised by the statistics of the training actors, kept as buffers.

    Args:
        inputs: features a frame.
        classes: how many labels.
        channels: of the convolutions.
        hidden: units of the LSTM in each direction.
        dropout: probability of dropping an activation, between the layers.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self,
        inputs: int = 120,
        classes: int = len(SPEECH),
        channels: int = 128,
        hidden: int = 64,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(inputs))
        self.register_buffer("scale", torch.ones(inputs))
        self.stem = nn.Sequential(
            nn.Conv1d(inputs, channels, 5, stride=2, padding=2),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Conv1d(channels, channels, 5, stride=2, padding=2),
            nn.BatchNorm1d(channels),
            nn.ReLU(),
            nn.Dropout(dropout),
        )
        self.lstm = nn.LSTM(channels, hidden, batch_first=True, bidirectional=True)
        self.attention = nn.Linear(2 * hidden, 1)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * hidden, classes)

    def standardise(self, features: Tensor) -> None:
        """Take mean and standard deviation from features [frames, inputs] of the training data."""
        self.mean.copy_(features.mean(0))
        self.scale.copy_(1 / features.std(0).clamp(min=1e-3))

    def forward(self, features: Tensor) -> Tensor:
        standard = (features - self.mean) * self.scale
        steps, _ = self.lstm(self.stem(standard.transpose(1, 2)).transpose(1, 2))
        weights = self.attention(steps).softmax(dim=1)
        logits: Tensor = self.head(self.dropout((weights * steps).sum(dim=1)))
        return logits


NETWORKS: dict[str, type[LSTM]] = {"lstm": LSTM}


@torch.inference_mode()
def logits_of(network: nn.Module, windows: Sequence[Floats], spec: MfccSpec) -> Tensor:
    """Logits float32 [N, classes], on the CPU, of windows of MFCC, each [T, coefficients] with a T of its own.

    On a CPU the windows go through one by one: a GEMM rounds differently for different batch sizes (measured: a batch
    of two already differs in the last bit), while a replay has to give the same bits for all. A window of 3 s takes
    about 3 ms so, twice its share of a batch of 16, and a voice has two windows a second.
    On another device those of one length go through together.
    """
    device = next(network.parameters()).device
    if not windows:
        raise ValueError("no windows")
    result: list[Tensor | None] = [None] * len(windows)
    order = sorted(range(len(windows)), key=lambda index: len(windows[index]))
    for _, group in groupby(order, key=lambda index: index if device.type == "cpu" else len(windows[index])):
        same = list(group)
        mfcc = torch.from_numpy(np.stack([windows[index] for index in same])).to(device)
        for index, row in zip(same, network(window_features(mfcc, spec)).cpu(), strict=True):
            result[index] = row
    return torch.stack([row for row in result if row is not None])


class SpeechModel:
    """A trained network with its labels, its features' settings and its calibration."""

    def __init__(
        self,
        network: nn.Module,
        spec: MfccSpec,
        labels: Sequence[str],
        temperature: float,
        odds: Doubles | None = None,
        selective: Sequence[Selection] = (),
    ) -> None:
        self.network = network.eval()
        self.spec = spec
        self.labels = tuple(labels)
        self.temperature = temperature
        self.selective = selective
        self._odds = odds

    @classmethod
    def load(cls, path: Path | None = None, device: str = "auto", prior: Prior = "training") -> Self:
        """Load a checkpoint, by default the one trained here. `device`: auto, cpu, cuda, mps or as torch says.

        Under another `prior` than that of the training data (see `models.calibration`) its probabilities shift.

        Raises:
            ModelError: the file is missing, damaged or of another task, its network is unknown or does not fit
                its weights, or the device is not there.
            EmopipeError: no such prior.
        """
        network, card = load_network(path, "speech", NETWORKS)
        try:
            spec = msgspec.convert(card.features, MfccSpec)
        except msgspec.ValidationError as error:
            raise ModelError(f"{path}: its features do not fit its card: {error}; train it again") from None
        odds = prior_odds(prior, card.labels, card.prior)
        network.to(pick_device(device))
        return cls(network, spec, card.labels, card.temperature, odds, card.selective)

    def logits(self, windows: Sequence[Floats]) -> Tensor:
        """Logits before calibration; see `logits_of`."""
        return logits_of(self.network, windows, self.spec)

    def probabilities(self, windows: Sequence[Floats]) -> npt.NDArray[np.float32]:
        """Calibrated distributions over `labels`, float32 [N, classes], of windows of MFCC float32 [T, coefficients].

        On a CPU a window's result is bit-identical whatever it is inferred together with.
        """
        if not windows:
            return np.empty((0, len(self.labels)), np.float32)
        probabilities = reweighed(softmax(self.logits(windows), self.temperature), self._odds)
        return probabilities.astype(np.float32)
