"""ONNX files of models that are small enough to reckon along: the mean of each channel, weighed for each label."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
IR_VERSION = 8

Shape = Sequence[int | str | None]


def onnx_model(
    path: Path,
    shape: Shape = ("N", 1, 64, 64),
    labels: Sequence[str] = ("happy", "sad", "neutral"),
    *,
    over: Sequence[int] = (2, 3),
    dtype: int = TensorProto.FLOAT,
    weights: Sequence[Sequence[float]] = (),
    bias: Sequence[float] = (),
    probabilities: bool = False,
    metadata: bool = True,
    domain: str = "",
    outputs: int | None = None,
) -> Path:
    """A model whose logits are the means `over` axes × `weights` [channels, labels] + `bias`.

    `metadata` names the labels; `domain` puts an operator of that set before all; `outputs` is declared for the real
    number.
    """
    channels = len(weights) or 1
    matrix = np.array(weights or [[0.0] * len(labels)], np.float32)
    offset = np.array(bias or [0.0] * len(labels), np.float32)
    nodes = [helper.make_node("Cast", ["input"], ["levels"], to=TensorProto.FLOAT)]
    if domain:
        nodes.insert(0, helper.make_node("Blur", ["input"], ["blurred"], domain=domain))
    nodes += [
        helper.make_node("ReduceMean", ["levels"], ["means"], axes=list(over), keepdims=0),
        helper.make_node("Reshape", ["means", "flat"], ["rows"]),
        helper.make_node("Gemm", ["rows", "weights", "bias"], ["logits"]),
    ]
    if probabilities:
        nodes.append(helper.make_node("Softmax", ["logits"], ["shares"], axis=1))
    last = "shares" if probabilities else "logits"
    constants = {"weights": matrix, "bias": offset, "flat": np.array([-1, channels], np.int64)}
    graph = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("input", dtype, list(shape))],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, ["N", outputs or len(labels)])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    imports = [helper.make_opsetid("", OPSET), *([helper.make_opsetid(domain, 1)] if domain else [])]
    model: Any = helper.make_model(graph, opset_imports=imports, ir_version=IR_VERSION)
    if metadata:
        helper.set_model_props(model, {"labels": ", ".join(labels)})
    path.write_bytes(model.SerializeToString())
    return path


def in_two_files(path: Path) -> Path:
    """The same model with its weights beside it."""
    onnx.save_model(onnx.load(path), path, save_as_external_data=True, location=f"{path.name}.data", size_threshold=0)
    return path
