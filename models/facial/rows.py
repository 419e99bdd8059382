"""Rows of a torch network for faces: on a GPU, or as an ONNX graph for the CPU."""

import copy
import io
import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emopipe.models.facial.base import FaceNetwork, prepare
from emopipe.models.facial.crops import SIZE
from emopipe.models.facial.graphs import FACES, OPSET, ROWS

GPU_TILE_SIZE = 256


class RowNetwork(nn.Module):
    """What `FaceNetwork.judge` says of people's labelling, as one row a face: logits, then the distance.

    For inference: it holds a copy of the network, in evaluation mode, with its norms merged.
    """

    def __init__(self, network: FaceNetwork) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval()
        self.network.fold()
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        judged = self.network.judge(x)
        return torch.cat([judged.people, judged.distance.unsqueeze(1)], dim=1)


class DeviceNetwork:
    """A network on a device of torch's."""

    def __init__(self, network: FaceNetwork, device: str) -> None:
        self._device = torch.device(device)
        self._rows = RowNetwork(network).to(self._device)

    @torch.inference_mode()
    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Grey crops [N, 48, 48], at least one → rows [N, labels + 1]: logits, then the distance."""
        tiles = torch.split(torch.from_numpy(np.ascontiguousarray(crops)), GPU_TILE_SIZE)
        rows: NDArray[np.float32] = torch.cat(
            [self._rows(prepare(tile.to(self._device))).cpu() for tile in tiles]
        ).numpy()
        return rows


def trace(network: FaceNetwork) -> bytes:
    """A network's rows as a graph (`emopipe.models.facial.graphs`)."""
    model = io.BytesIO()
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of being the older way, which needs no further package
        torch.onnx.export(
            RowNetwork(network),
            (torch.zeros(2, 1, SIZE, SIZE),),
            model,  # type: ignore[arg-type]  # as the older exporter takes it
            dynamo=False,
            input_names=[FACES],
            output_names=[ROWS],
            dynamic_axes={FACES: {0: "N"}, ROWS: {0: "N"}},
            opset_version=OPSET,
        )
    return model.getvalue()
