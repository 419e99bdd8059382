"""Faces in, calibrated probabilities out, with the same bits whatever the batch."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emopipe.models import checkpoint
from emopipe.models.calibration import Doubles, Knot, Prior, Selection, prior_odds, reweighed, softmax, temperature_at
from emopipe.models.checkpoint import Card
from emopipe.models.facial.compiled import CompiledNetwork
from emopipe.models.facial.crops import SIZE
from emopipe.models.facial.graphs import NETWORKS as GRAPHS
from emopipe.models.loading import Backend, fitting, load_network, need_outputs, pick_backend

Network = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""Grey crops [N, 48, 48], at least one → rows [N, labels + 1]: logits, then how far a face is from those trained on."""


class FacialModel:
    """A trained face classifier.

    On CPU a face's result has the same bits alone and anywhere in a batch of any size: what comes out of a replay must
    not depend on how faces happened to be batched.

    Attributes:
        device: where it infers, as torch names it.
        backend: the library that computes its network.
    """

    def __init__(
        self,
        network: Network,
        labels: tuple[str, ...],
        temperature: float,
        odds: Doubles | None = None,
        selective: Sequence[Selection] = (),
        temperatures: Sequence[Knot] = (),
        device: str = "cpu",
        backend: str = "onnxruntime",
    ) -> None:
        self.labels = labels
        self.temperature = temperature
        self.temperatures = temperatures
        self.selective = selective
        self.device = device
        self.backend = backend
        self._network = network
        self._odds = odds

    @classmethod
    def load(
        cls, path: Path | None = None, device: str = "auto", prior: Prior = "training", backend: Backend = "auto"
    ) -> "FacialModel":
        """Read a checkpoint (by default the committed one) onto `device`: a name of torch's, or "auto".

        Under another `prior` than that of the training data (see `emopipe.models.calibration`) its probabilities shift.
        On a CPU `backend` computes its network: ONNX Runtime, in integers of 8 bits where it can, or torch, which is
        slower there and the reference.

        Raises:
            ModelError: weights missing, damaged, or for another network; no such device or back end.
            EmopipeError: no such prior.
        """
        library, device = pick_backend(backend, device)
        network, card = _load_network(path or checkpoint.WEIGHTS_DIR / "facial.safetensors", device, library)
        odds = prior_odds(prior, card.labels, card.prior)
        labels = tuple(card.labels)
        return cls(network, labels, card.temperature, odds, card.selective, card.temperatures, device, library)

    def logits(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Grey crops uint8 [N, 48, 48] → float32 [N, labels], before temperature."""
        return self._judge(faces)[:, :-1]

    def probabilities(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Grey crops uint8 [N, 48, 48] → float32 [N, labels]: calibrated, each row summing to one.

        The farther a face is from those the network was trained on, the flatter its distribution.
        """
        judged = self._judge(faces)
        temperature = temperature_at(self.temperatures, judged[:, -1]) if self.temperatures else self.temperature
        return reweighed(softmax(judged[:, :-1], temperature), self._odds).astype(np.float32)

    def _judge(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits, and in the last column the distance, [N, labels + 1]."""
        if faces.shape[1:] != (SIZE, SIZE) or faces.dtype != np.uint8:
            raise ValueError(f"expected uint8 [N, {SIZE}, {SIZE}], got {faces.dtype} {list(faces.shape)}")
        if len(faces) == 0:
            return np.empty((0, len(self.labels) + 1), np.float32)
        return self._network(faces)


def _load_network(path: Path, device: str, library: str) -> tuple[Network, Card]:
    """Its network as a library computes it; for ONNX Runtime what has no graph of its own is traced with torch."""
    weights, card = checkpoint.load_arrays(path, "facial")
    if library == "onnxruntime" and card.network in GRAPHS:
        with fitting(path):
            graph = GRAPHS[card.network](weights, **card.options)
        need_outputs(path, card, len(weights["head.bias"]))
        return CompiledNetwork(graph), card
    from emopipe.models.facial.networks import NETWORKS
    from emopipe.models.facial.rows import DeviceNetwork, trace

    network, card = load_network(path, "facial", NETWORKS)
    return CompiledNetwork(trace(network)) if library == "onnxruntime" else DeviceNetwork(network, device), card
