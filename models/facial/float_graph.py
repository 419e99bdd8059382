"""An ONNX graph for faces in single precision, made node by node of a checkpoint's arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

from emopipe.models.facial.crops import SIZE

FACES, ROWS = "faces", "rows"
"""Names of a graph's input and output."""

OPSET, IR_VERSION = 17, 8
ONNX_RUNTIME = "com.microsoft"
"""The domain of operators that only ONNX Runtime has."""

CONVOLUTION = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]}
_NORM_EPSILON = 1e-5  # torch's

Arrays = Mapping[str, NDArray[Any]]


class FloatGraph:
    """A graph in single precision that grows; a value is named by its number.

    Args:
        weights: of a checkpoint, by torch's names.

    Attributes:
        observed: its activations, in the order in which they were made.
    """

    def __init__(self, weights: Arrays) -> None:
        self._weights = weights
        self.observed: list[str] = []
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """What an operator makes of these values."""
        output = f"value{len(self._nodes)}"
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, array: ArrayLike) -> str:
        name = f"constant{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def weight(self, name: str, *shape: int) -> NDArray[np.float64]:
        """A weight of this shape."""
        if name not in self._weights or self._weights[name].shape != shape:
            raise ValueError(f"{name} is missing, or of another shape than {list(shape)}")
        return self._weights[name].astype(np.float64)

    def faces(self) -> str:
        """The input."""
        return FACES

    def convolution(self, x: str, name: str, norm: str, channels: tuple[int, int], beside: str = "") -> str:
        """A 3×3 convolution to and from so many channels with its norm, the shortcut `beside` it added, and ReLU."""
        parts = [self.constant(part.astype(np.float32)) for part in self.merged(name, norm, channels)]
        y = self.add("Conv", x, *parts, **CONVOLUTION)
        if beside:
            self.observed.append(y)
            y = self.add("Add", y, beside)
        self.observed.append(self.add("Relu", y))
        return self.observed[-1]

    def halve(self, x: str) -> str:
        """The largest of each 2×2 pixels."""
        return self.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2])

    def mean(self, x: str) -> str:
        """Over all pixels, [N, channels]."""
        return self.add("ReduceMean", x, axes=[2, 3], keepdims=0)

    def merged(
        self, name: str, norm: str, channels: tuple[int, int]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Kernel [out, in, 3, 3] and bias [out] of a convolution to and from so many channels and of its norm."""
        outputs, inputs = channels
        mean, variance = (self.weight(f"{norm}.running_{part}", outputs) for part in ("mean", "var"))
        gain = self.weight(f"{norm}.weight", outputs) / np.sqrt(variance + _NORM_EPSILON)
        kernel = self.weight(f"{name}.weight", outputs, inputs, 3, 3) * gain[:, None, None, None]
        return kernel, self.weight(f"{norm}.bias", outputs) - mean * gain

    def model(self, embedded: str, width: int, classes: int, shown: Sequence[str] = ()) -> bytes:
        """The graph with the head for what people see, and the distance of embeddings [N, width].

        `shown` are values that are outputs besides.

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
            [
                helper.make_tensor_value_info(ROWS, TensorProto.FLOAT, ["N", classes + 1]),
                *(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", None, None, None]) for name in shown),
            ],
            self._constants,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(ONNX_RUNTIME, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION)
        content: bytes = model.SerializeToString()
        return content
