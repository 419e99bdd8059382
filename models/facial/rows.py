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
from emopipe.models.facial.float_graph import FACES, OPSET, ROWS

BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
"""Of what a GPU infers at once: a batch is filled up to the next."""


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
    """A network on a device of torch's; on a GPU of NVIDIA's as CUDA graphs, on a CPU face by face.

    Of a network as small as these a GPU's time goes into starting its kernels one by one: a graph starts them all.
    On a CPU torch sums in another order in a batch of another size, while a face is to have the same bits in each.
    """

    def __init__(self, network: FaceNetwork, device: str) -> None:
        self._device = torch.device(device)
        self._rows = RowNetwork(network).to(self._device)
        self._tile_size = 1 if self._device.type == "cpu" else BATCH_SIZES[-1]
        self._graphs: list[_RecordedBatch] = []
        if self._device.type == "cuda":
            self._graphs = [_RecordedBatch(self._rows, size, self._device) for size in BATCH_SIZES]

    @torch.inference_mode()
    def __call__(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Grey crops [N, 48, 48], at least one → rows [N, labels + 1]: logits, then the distance."""
        tiles = torch.split(torch.from_numpy(np.ascontiguousarray(crops)), self._tile_size)
        rows: NDArray[np.float32] = torch.cat([self._tile(tile) for tile in tiles]).numpy()
        return rows

    def _tile(self, crops: Tensor) -> Tensor:
        for graph in self._graphs:
            if graph.size >= len(crops):
                return graph(crops)
        return self._rows(prepare(crops.to(self._device))).cpu()  # type: ignore[no-any-return]


class _RecordedBatch:
    """A batch of one size on a GPU, recorded as a CUDA graph with the memory it works in."""

    @torch.inference_mode()
    def __init__(self, rows: RowNetwork, size: int, device: torch.device) -> None:
        self.size = size
        self._given = torch.zeros(size, SIZE, SIZE, dtype=torch.uint8).pin_memory()
        self._crops = self._given.to(device)
        with torch.cuda.device(device):
            aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                rows(prepare(self._crops))  # what is made once, such as cuDNN's plans, is not to be recorded
            torch.cuda.current_stream().wait_stream(aside)
            self._graph = torch.cuda.CUDAGraph()
            # Other threads of the process may use the GPU meanwhile.
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self._rows = rows(prepare(self._crops))
        self._answers = torch.empty(self._rows.shape).pin_memory()

    def __call__(self, crops: Tensor) -> Tensor:
        """Grey crops [N, 48, 48], N ≤ `size` → their rows; what fills the batch up is of no account."""
        self._given[: len(crops)] = crops
        self._crops.copy_(self._given, non_blocking=True)
        self._graph.replay()
        self._answers.copy_(self._rows, non_blocking=True)
        torch.cuda.current_stream(self._crops.device).synchronize()
        return self._answers[: len(crops)].clone()


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
