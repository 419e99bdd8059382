"""Networks for faces as ONNX graphs, straight from their checkpoint's arrays: what infers on a CPU needs no torch.

In a graph: faces float32 [N, 1, 48, 48], as `emopipe.models.facial.crops.prepare` makes them, in; out, a row for each
face, float32 [N, classes + 1]: the logits of what people see, then how far the face is from the training faces
(`emopipe.models.facial.base.FaceNetwork.judge`).
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

from emopipe.models.facial.crops import SIZE
from emopipe.models.labels import FACE

FACES, ROWS = "faces", "rows"
"""Names of a graph's input and output."""

OPSET, IR_VERSION = 17, 8
_NORM_EPSILON = 1e-5  # torch's

Arrays = Mapping[str, NDArray[Any]]


def custom_cnn(
    weights: Arrays, widths: Sequence[int] = (32, 64, 128, 256), dropout: float = 0.2, classes: int = len(FACE)
) -> bytes:
    """`emopipe.models.facial.networks.CustomCNN` in evaluation mode, each norm merged into its convolution.

    Args:
        weights: of the checkpoint, by torch's names.
        widths, dropout, classes: the network's options; dropout is for training.

    Raises:
        ValueError: weights are missing or of another shape.
    """
    graph = _Graph(weights)
    x = graph.convolution(FACES, "features.0", "features.1", (widths[0], 1))
    x = graph.convolution(x, "features.3", "features.4", (widths[0], widths[0]))
    for stage, (inputs, outputs) in enumerate(pairwise(widths)):
        place = 6 + 5 * stage  # in the sequence: pooling, convolution, norm, ReLU, residual block
        x = graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])
        x = graph.convolution(x, f"features.{place + 1}", f"features.{place + 2}", (outputs, inputs))
        block = f"features.{place + 4}"
        y = graph.convolution(x, f"{block}.conv1", f"{block}.norm1", (outputs, outputs))
        x = graph.convolution(y, f"{block}.conv2", f"{block}.norm2", (outputs, outputs), beside=x)
    embedded = graph.add("ReduceMean", x, axes=[2, 3], keepdims=0)
    return graph.model(embedded, widths[-1], classes)


NETWORKS: dict[str, Callable[..., bytes]] = {"custom": custom_cnn}
"""By the names of `emopipe.models.facial.networks.NETWORKS`; the others are traced with torch."""


class _Graph:
    """A graph that grows; a value is named by its number."""

    def __init__(self, weights: Arrays) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """What an operator makes of these values."""
        output = f"value{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, array: ArrayLike) -> str:
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def weight(self, name: str, *shape: int) -> NDArray[np.float64]:
        """A weight of this shape."""
        if name not in self._weights or self._weights[name].shape != shape:
            raise ValueError(f"{name} is missing, or of another shape than {list(shape)}")
        return self._weights[name].astype(np.float64)

    def convolution(self, x: str, name: str, norm: str, channels: tuple[int, int], beside: str = "") -> str:
        """A 3×3 convolution to and from so many channels with its norm, the shortcut `beside` it added, and ReLU."""
        outputs, inputs = channels
        mean, variance = (self.weight(f"{norm}.running_{part}", outputs) for part in ("mean", "var"))
        gain = self.weight(f"{norm}.weight", outputs) / np.sqrt(variance + _NORM_EPSILON)
        kernel = self.weight(f"{name}.weight", outputs, inputs, 3, 3) * gain[:, None, None, None]
        bias = self.weight(f"{norm}.bias", outputs) - mean * gain
        parts = [self.constant(part.astype(np.float32)) for part in (kernel, bias)]
        y = self.add("Conv", x, *parts, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
        return self.add("Relu", self.add("Add", y, beside) if beside else y)

    def model(self, embedded: str, width: int, classes: int) -> bytes:
        """The graph with the head for what people see, and the distance of embeddings [N, width].

        Products and sums instead of a matrix product, which rounds differently for different numbers of faces.
        """
        head = self.weight("head.weight", classes, width).astype(np.float32)
        bias = self.weight("head.bias", classes).astype(np.float32)
        typical_length = self.weight("typical_length").astype(np.float32)
        ones, twos = self.constant(np.array([1])), self.constant(np.array([2]))
        products = self.add("Mul", self.add("Unsqueeze", embedded, ones), self.constant(head))
        logits = self.add("Add", self.add("ReduceSum", products, twos, keepdims=0), self.constant(bias))
        squares = self.add("ReduceSum", self.add("Mul", embedded, embedded), ones, keepdims=1)
        length = self.add("Add", self.add("Sqrt", squares), self.constant(np.float32(1e-6)))
        distance = self.add("Div", self.constant(typical_length), length)
        self._nodes.append(helper.make_node("Concat", [logits, distance], [ROWS], axis=1))
        graph = helper.make_graph(
            self._nodes,
            "faces",
            [helper.make_tensor_value_info(FACES, TensorProto.FLOAT, ["N", 1, SIZE, SIZE])],
            [helper.make_tensor_value_info(ROWS, TensorProto.FLOAT, ["N", classes + 1])],
            self._constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
        content: bytes = model.SerializeToString()
        return content
