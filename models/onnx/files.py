"""What an ONNX file says of itself, read without running it."""

import json
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from emopipe.models.labels import labels_problem
from emopipe.pipeline.errors import ModelError
from emopipe.pipeline.text import listing, show

MAX_FILE_BYTES = 1 << 31  # what a protocol buffer may hold
DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
"""The sets of operators that ONNX Runtime brings along."""
LABELS = "labels"  # the entry of a file's metadata; `emopipe export` writes it

Shape = tuple[int | None, ...]


class Value(NamedTuple):
    """An input or output: its name, NumPy's name of its type, and its shape; None is a length that may vary."""

    name: str
    dtype: str
    shape: Shape

    def __str__(self) -> str:
        sides = " × ".join("?" if side is None else str(side) for side in self.shape)
        return f"{show(self.name)} ({self.dtype} {sides})"


class OnnxFile(NamedTuple):
    """A model as its file describes it; `labels` is empty where the metadata name none."""

    path: Path
    inputs: list[Value]
    outputs: list[Value]
    labels: tuple[str, ...]

    def input(self) -> Value:
        """The one input.

        Raises:
            ModelError: there are several.
        """
        if len(self.inputs) != 1:
            named = listing(value.name for value in self.inputs)
            raise ModelError(f"{self.path}: has {len(self.inputs)} inputs ({named}); a model with one is needed")
        return self.inputs[0]

    def output(self, name: str = "") -> Value:
        """The output of this name; without one the only one, or the one called `probabilities`.

        Raises:
            ModelError: there is none such, or nothing says which; or it gives no row of numbers.
        """
        found = {value.name: value for value in self.outputs}
        chosen = name or ("probabilities" if "probabilities" in found else next(iter(found)))
        if chosen not in found or (len(found) > 1 and not name and chosen != "probabilities"):
            what = f"has no output {show(name)}" if name else "has several outputs"
            raise ModelError(f'{self.path}: {what}; set output = "…" to one of {listing(found, "or")}')
        value = found[chosen]
        if len(value.shape) != 2 or not value.dtype.startswith("float"):
            raise ModelError(
                f"{self.path}: the output {value} is no row of numbers, one a label, such as float32 ? × 7"
            )
        return value


def read(path: Path) -> OnnxFile:
    """What a file says of itself.

    Raises:
        ModelError: it is missing, no ONNX file, in several files, or needs operators that ONNX Runtime has not.
    """
    if path.is_dir():
        raise ModelError(f"{path}: is a folder, but an ONNX file is expected; name the file in it")
    try:
        stat = path.stat()
        return _read(path, stat.st_mtime_ns, stat.st_size)
    except FileNotFoundError:
        raise ModelError(f"{path}: no such file; give the path of an ONNX model") from None
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None


@lru_cache(maxsize=8)
def _read(path: Path, _changed: int, size: int) -> OnnxFile:
    import onnx

    if size > MAX_FILE_BYTES:
        raise ModelError(f"{path}: {size / 1e9:.1f} GB, but an ONNX file holds 2 GB at most")
    try:
        model = onnx.load_model_from_string(path.read_bytes())
    except Exception:  # protobuf's own
        model = onnx.ModelProto()
    graph = model.graph
    if not (graph.node and graph.input and graph.output):
        raise ModelError(f"{path}: no ONNX file, or a damaged one; export the model anew (torch.onnx.export, tf2onnx)")
    own = {function.domain for function in model.functions}
    foreign = sorted({f"{node.domain}.{node.op_type}" for node in graph.node if node.domain not in {*DOMAINS, *own}})
    if foreign:
        raise ModelError(
            f"{path}: needs operators that ONNX Runtime does not have, {listing(foreign)}; export it without custom "
            "operators"
        )
    if any(weights.data_location == onnx.TensorProto.EXTERNAL for weights in graph.initializer):
        raise ModelError(
            f"{path}: keeps its weights in another file; save it as one file "
            "(onnx.save_model(model, path, save_as_external_data=False))"
        )
    constants = {weights.name for weights in graph.initializer}
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    return OnnxFile(
        path,
        [_value(value) for value in graph.input if value.name not in constants],
        [_value(value) for value in graph.output],
        _labels(path, metadata.get(LABELS, "")),
    )


def _value(info: Any) -> Value:
    from onnx import helper

    tensor = info.type.tensor_type
    dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type).name if tensor.elem_type else "unknown"
    shape = tuple(side.dim_value if side.HasField("dim_value") else None for side in tensor.shape.dim)
    return Value(info.name, dtype, tuple(side or None for side in shape))


def _labels(path: Path, text: str) -> tuple[str, ...]:
    """The labels in a file's metadata: as JSON, or divided by commas."""
    if not text:
        return ()
    try:
        found = json.loads(text)
    except ValueError:
        found = [each.strip() for each in text.split(",")]
    labels = list(found.values()) if isinstance(found, dict) else found
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise ModelError(f'{path}: its metadata entry "{LABELS}" is no list of names; set labels = ["…", "…"]')
    if problem := labels_problem(labels):
        raise ModelError(f'{path}: its metadata entry "{LABELS}": {problem}; set labels = ["…", "…"]')
    return tuple(labels)
