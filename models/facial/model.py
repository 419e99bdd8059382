"""Faces in, calibrated probabilities out, with the same bits whatever the batch."""

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emopipe.models.calibration import Doubles, Knot, Prior, Selection, prior_odds, reweighed, softmax, temperature_at
from emopipe.models.facial.base import SIZE, FaceNetwork, prepare
from emopipe.models.facial.compiled import Rows, compile_rows
from emopipe.models.facial.networks import NETWORKS
from emopipe.models.loading import load_network, pick_device

TILE_SIZES = (8, 4, 2, 1)
GPU_TILE_SIZE = 256


def exact_tile_size(logits: Callable[[Tensor], Tensor], sizes: tuple[int, ...] = TILE_SIZES) -> int:
    """The largest tile in which each face's logits are bit-identical to those of the face alone.

    Which kernel computes a layer, and so in which order it sums, may depend on the batch size: measured on
    AVX2, convolutions change at 16 faces. That is a property of the machine and of shapes, not of the values, so
    it is tried out once, with noise, for every size up to the tile.
    """
    noise = torch.randint(0, 256, (max(sizes), SIZE, SIZE), generator=torch.Generator().manual_seed(0))
    faces = prepare(noise.to(torch.uint8))
    alone = torch.cat([logits(face) for face in torch.split(faces, 1)])
    same = [torch.equal(logits(faces[:size]), alone[:size]) for size in range(1, max(sizes) + 1)]
    return next(tile for tile in sizes if all(same[:tile]))


class FacialModel:
    """A trained face classifier.

    On CPU, with the number of threads unchanged, a face's result has the same bits alone and anywhere in a batch of
    any size: what comes out of a replay must not depend on how faces happened to be batched.
    """

    def __init__(
        self,
        network: FaceNetwork,
        labels: tuple[str, ...],
        temperature: float,
        device: torch.device | str = "cpu",
        odds: Doubles | None = None,
        selective: Sequence[Selection] = (),
        temperatures: Sequence[Knot] = (),
    ) -> None:
        self.labels = labels
        self.temperature = temperature
        self.temperatures = temperatures
        self.selective = selective
        self.device = torch.device(device)
        self._odds = odds
        folded = copy.deepcopy(network).eval()
        folded.fold()
        rows = Rows(folded).to(self.device)
        self._rows: Callable[[Tensor], Tensor] = compile_rows(rows) if self.device.type == "cpu" else rows
        with torch.inference_mode():
            # Also the warm-up: the first calls of each shape choose and prepare their kernels.
            self._tile = exact_tile_size(self._rows) if self.device.type == "cpu" else GPU_TILE_SIZE

    @classmethod
    def load(cls, path: Path | None = None, device: str = "auto", prior: Prior = "training") -> "FacialModel":
        """Read a checkpoint (by default the committed one) onto `device`: a name of torch's, or "auto".

        Under another `prior` than that of the training data (see `emopipe.models.calibration`) its probabilities shift.

        Raises:
            ModelError: weights missing, damaged, or for another network; no such device.
            EmopipeError: no such prior.
        """
        network, card = load_network(path, "facial", NETWORKS)
        odds = prior_odds(prior, card.labels, card.prior)
        return cls(
            network, tuple(card.labels), card.temperature, pick_device(device), odds, card.selective, card.temperatures
        )

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

    @torch.inference_mode()
    def _judge(self, faces: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Logits, and in the last column the distance, [N, labels + 1]."""
        if faces.shape[1:] != (SIZE, SIZE) or faces.dtype != np.uint8:
            raise ValueError(f"expected uint8 [N, {SIZE}, {SIZE}], got {faces.dtype} {list(faces.shape)}")
        if len(faces) == 0:
            return np.empty((0, len(self.labels) + 1), np.float32)
        tiles = torch.split(torch.from_numpy(np.ascontiguousarray(faces)), self._tile)
        judged = torch.cat([self._rows(prepare(tile.to(self.device))).cpu() for tile in tiles])
        result: NDArray[np.float32] = judged.numpy()
        return result
