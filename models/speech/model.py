"""The model that hears voices: a network of `emopipe.models.speech.networks` with its features and its calibration."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, Self

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from emopipe.models.calibration import Doubles, Prior, Selection, prior_odds, reweighed, softmax
from emopipe.models.loading import load_network, pick_device
from emopipe.models.speech.features import Floats, MfccSpec, window_features
from emopipe.models.speech.networks import NETWORKS, SpeechNetwork
from emopipe.models.speech.speaker import MIN_CLIPS, SpeakerStatistics
from emopipe.models.speech.temperature import Knot, temperature_at
from emopipe.pipeline.errors import ModelError

__all__ = ["NETWORKS", "Outputs", "SpeechModel", "SpeechNetwork", "compute_outputs"]


class Outputs(NamedTuple):
    """Outputs of a network for N windows, float32 on the CPU: logits [N, classes] and embeddings [N, D]."""

    logits: Tensor
    embeddings: Tensor


@torch.inference_mode()
def compute_outputs(network: SpeechNetwork, windows: Sequence[Floats], spec: MfccSpec) -> Outputs:
    """Run a network over windows of MFCC, each [T, coefficients] with a T of its own.

    On a CPU the windows go through one by one: a GEMM rounds differently for different batch sizes (measured: a batch
    of two already differs in the last bit), while a replay has to give the same bits for all. A voice has but two
    windows a second. On another device those of one length go through together.
    """
    device = network.mean.device
    if not windows:
        raise ValueError("no windows")
    logits: list[Tensor] = [torch.empty(0)] * len(windows)
    embeddings = list(logits)
    order = sorted(range(len(windows)), key=lambda index: len(windows[index]))
    for _, group in groupby(order, key=lambda index: index if device.type == "cpu" else len(windows[index])):
        same = list(group)
        mfcc = torch.from_numpy(np.stack([windows[index] for index in same])).to(device)
        embedding = network.embed(window_features(mfcc, spec))
        for index, row, vector in zip(same, network.classify(embedding).cpu(), embedding.cpu(), strict=True):
            logits[index], embeddings[index] = row, vector
    return Outputs(torch.stack(logits), torch.stack(embeddings))


class SpeechModel:
    """A trained network with its labels, its features' settings and its calibration.

    Args:
        network: see `emopipe.models.speech.networks`.
        spec: of the MFCC it was trained on.
        labels: of its outputs.
        temperature: divides the logits where there are no `temperatures`.
        odds: by which probabilities are multiplied for another prior (`emopipe.models.calibration.prior_odds`).
        selective: below which confidence an answer is uncertain (`emopipe.models.calibration`).
        temperatures: by the length of a window (`emopipe.models.speech.temperature`).
    """

    def __init__(
        self,
        network: SpeechNetwork,
        spec: MfccSpec,
        labels: Sequence[str],
        temperature: float,
        odds: Doubles | None = None,
        selective: Sequence[Selection] = (),
        temperatures: Sequence[Knot] = (),
    ) -> None:
        self.network = network.eval()
        self.spec = spec
        self.labels = tuple(labels)
        self.temperature = temperature
        self.temperatures = tuple(temperatures)
        self.selective = selective
        self._odds = odds

    @classmethod
    def load(cls, path: Path | None = None, device: str = "auto", prior: Prior = "training") -> Self:
        """Load a checkpoint, by default the one trained here. `device`: auto, cpu, cuda, mps or as torch says.

        Under another `prior` than that of the training data (see `emopipe.models.calibration`) its probabilities shift.

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
        return cls(network, spec, card.labels, card.temperature, odds, card.selective, card.temperatures)

    def outputs(self, windows: Sequence[Floats]) -> Outputs:
        """Logits before calibration, and embeddings, of windows of MFCC float32 [T, coefficients]."""
        if not windows:
            return Outputs(torch.empty(0, len(self.labels)), torch.empty(0, self.network.width))
        return compute_outputs(self.network, windows, self.spec)

    def logits(self, windows: Sequence[Floats]) -> Tensor:
        """Logits [N, classes] before calibration."""
        return self.outputs(windows).logits

    def temperature_of(self, windows: Sequence[Floats]) -> Doubles:
        """The temperature of each window's logits, [N]."""
        if not self.temperatures:
            return np.full(len(windows), self.temperature)
        return temperature_at(self.temperatures, [self.seconds(len(window)) for window in windows])

    def seconds(self, frames: int) -> float:
        """The duration of so many frames."""
        return frames * self.spec.hop / self.spec.sample_rate

    def calibrated(self, logits: Tensor, windows: Sequence[Floats]) -> npt.NDArray[np.float32]:
        """Turn these windows' logits into calibrated distributions over `labels`, float32 [N, classes]."""
        if not windows:
            return np.empty((0, len(self.labels)), np.float32)
        return reweighed(softmax(logits, self.temperature_of(windows)), self._odds).astype(np.float32)

    def probabilities(self, windows: Sequence[Floats]) -> npt.NDArray[np.float32]:
        """Calibrated distributions over `labels`, float32 [N, classes], of windows of MFCC float32 [T, coefficients].

        On a CPU a window's result is bit-identical whatever it is inferred together with.
        """
        return self.calibrated(self.logits(windows), windows)

    def speaker(self) -> SpeakerStatistics:
        """Statistics of a speaker of whom nothing has been heard: those of the network's training speakers."""
        coefficients = self.spec.coefficients
        mean, scale = self.network.mean[:coefficients].cpu().numpy(), self.network.scale[:coefficients].cpu().numpy()
        return SpeakerStatistics(mean, 1 / scale, MIN_CLIPS)
