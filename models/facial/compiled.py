"""A network for faces in ONNX Runtime: on one CPU core faster than torch, which lays out weights at each call."""

import io
import warnings
from collections.abc import Callable

import torch
from torch import Tensor, nn

from emopipe.models.facial.base import SIZE, FaceNetwork

OPSET = 17


class Rows(nn.Module):
    """What `FaceNetwork.judge` says of people's labelling, as one row a face: logits, then the distance.

    For inference: it puts the network into evaluation mode.
    """

    def __init__(self, network: FaceNetwork) -> None:
        super().__init__()
        self.network = network
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        judged = self.network.judge(x)
        return torch.cat([judged.people, judged.distance.unsqueeze(1)], dim=1)


def compile_rows(rows: Rows) -> Callable[[Tensor], Tensor]:
    """`rows` as a function of faces [N, 1, 48, 48] on the CPU, computed on one thread.

    Threads of its own would be lost in the child of a fork, which then waits for them for ever.
    """
    import onnxruntime

    model = io.BytesIO()
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of being the older way, which needs no further package
        torch.onnx.export(
            rows,
            (torch.zeros(2, 1, SIZE, SIZE),),
            model,  # type: ignore[arg-type]  # as the older exporter takes it
            dynamo=False,
            input_names=["faces"],
            output_names=["rows"],
            dynamic_axes={"faces": {0: "N"}, "rows": {0: "N"}},
            opset_version=OPSET,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.getvalue(), options, providers=["CPUExecutionProvider"])

    def run(faces: Tensor) -> Tensor:
        return torch.from_numpy(session.run(["rows"], {"faces": faces.numpy()})[0])

    return run
