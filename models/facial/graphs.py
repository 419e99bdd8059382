"""Networks for faces as ONNX graphs, straight from their checkpoint's arrays: what infers on a CPU needs no torch.

In a graph: faces float32 [N, 1, 48, 48], as `emopipe.models.facial.crops.prepare` makes them, in; out, a row for each
face, float32 [N, classes + 1]: the logits of what people see, then how far the face is from the training faces
(`emopipe.models.facial.base.FaceNetwork.judge`).

A checkpoint that knows the ranges of its network's activations is computed in integers of 8 bits, in a third of the
time on a CPU that has instructions for them (`emopipe.models.facial.quantised_graph`).
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from emopipe.models.facial.float_graph import FACES, Arrays, FloatGraph
from emopipe.models.facial.quantised_graph import RANGES, QuantisedGraph
from emopipe.models.labels import FACE

WIDTHS = (32, 64, 128, 256)


def custom_cnn(
    weights: Arrays, widths: Sequence[int] = WIDTHS, dropout: float = 0.2, classes: int = len(FACE)
) -> bytes:
    """`emopipe.models.facial.networks.CustomCNN` in evaluation mode, each norm merged into its convolution.

    In integers where `activation_ranges` are among the weights and not all 0.

    Args:
        weights: of the checkpoint, by torch's names.
        widths, dropout, classes: the network's options; dropout is for training.

    Raises:
        ValueError: weights are missing or of another shape.
    """
    ranges = weights.get(RANGES)
    graph = FloatGraph(weights) if ranges is None or not ranges.any() else QuantisedGraph(weights, ranges)
    return graph.model(_features(graph, widths), widths[-1], classes)


def measure_ranges(
    weights: Arrays, faces: NDArray[np.float32], widths: Sequence[int] = WIDTHS, classes: int = len(FACE)
) -> NDArray[np.float32]:
    """The ranges of a `CustomCNN`'s activations over faces [N, 1, 48, 48], as `activation_ranges` are to be, [V, 2].

    Raises:
        ValueError: weights are missing or of another shape.
    """
    import onnxruntime

    graph = FloatGraph(weights)
    model = graph.model(_features(graph, widths), widths[-1], classes, graph.observed)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    ranges = [(faces.min(), faces.max())]
    for name in graph.observed:
        parts = [session.run([name], {FACES: faces[start : start + 64]})[0] for start in range(0, len(faces), 64)]
        ranges.append((min(part.min() for part in parts), max(part.max() for part in parts)))
    return np.array(ranges, np.float32)


def _features(graph: FloatGraph, widths: Sequence[int]) -> str:
    """What `CustomCNN.embed` computes."""
    x = graph.convolution(graph.faces(), "features.0", "features.1", (widths[0], 1))
    x = graph.convolution(x, "features.3", "features.4", (widths[0], widths[0]))
    for stage, (inputs, outputs) in enumerate(pairwise(widths)):
        place = 6 + 5 * stage  # in the sequence: pooling, convolution, norm, ReLU, residual block
        x = graph.halve(x)
        x = graph.convolution(x, f"features.{place + 1}", f"features.{place + 2}", (outputs, inputs))
        block = f"features.{place + 4}"
        y = graph.convolution(x, f"{block}.conv1", f"{block}.norm1", (outputs, outputs))
        x = graph.convolution(y, f"{block}.conv2", f"{block}.norm2", (outputs, outputs), beside=x)
    return graph.mean(x)


NETWORKS: dict[str, Callable[..., bytes]] = {"custom": custom_cnn}
"""By the names of `emopipe.models.facial.networks.NETWORKS`; the others are traced with torch."""
