"""The voice encoder: Moonshine tiny (Jeffries et al. 2024, arXiv:2410.15608), which was taught to write down speech.

What it knows of speech in general lets a small head tell emotions of people, and in languages, that the head never
heard. It is not ours to keep: `emopipe.models.assets` fetches it, by its checksum.
"""

import struct
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emopipe.models import assets
from emopipe.models.speech.features import Floats
from emopipe.pipeline.errors import ModelError

if TYPE_CHECKING:
    import onnxruntime

LAYERS = 6
WIDTH = 288
LEAST_SAMPLES = 1600
"""0.1 s: its convolutions need 1,200 samples; shorter sound is padded with silence."""

_OUTPUTS = ["/Transpose_output_0", *(f"/layers.{layer}/Add_1_output_0" for layer in range(LAYERS - 1))]
_LAST = "last_hidden_state"


class Encoder:
    """16 kHz sound in; out, 41 times a second, what each of its layers makes of it.

    A window's outputs have the same bits whatever else is computed: each goes through alone, on one thread.

    Args:
        path: the model's file, by default the one that `emopipe.models.assets` knows.

    Raises:
        ModelError: there is no such file as we know, or ONNX Runtime is not installed.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._session = _session(path or assets.voice_encoder_model())

    def __call__(self, samples: Floats) -> Floats:
        """Mono sound float32 [n] in -1..1 -> float32 [layers + 1, T, 288]: before the first layer, behind each."""
        missing = LEAST_SAMPLES - len(samples)
        sound = np.pad(samples, (0, missing)) if missing > 0 else samples
        inputs = {"input_values": sound[None], "attention_mask": np.ones((1, len(sound)), np.int64)}
        return np.concatenate(self._session.run([*_OUTPUTS, _LAST], inputs))


@cache
def _session(path: Path) -> "onnxruntime.InferenceSession":
    try:
        import onnxruntime
    except ImportError:
        raise ModelError("the voice encoder needs onnxruntime: pip install onnxruntime") from None
    data = path.read_bytes()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        with_outputs(data, [*_OUTPUTS, _LAST]), options, providers=["CPUExecutionProvider"]
    )


# -- reading what the graph keeps to itself --------------------------------------------------------------------------
#
# The file is a FlatBuffer that names one output. What lies between its layers says more of how somebody speaks than the
# last layer, which knows best what they say; so the graph's list of outputs is replaced by a longer one, written behind
# the rest. FlatBuffers point forward, by offsets relative to where they stand: nothing else has to be touched.


def with_outputs(model: bytes, names: list[str]) -> bytes:
    """An ORT model (`InferenceSession` of ONNX Runtime's ort.fbs) whose graph gives the values of these names."""
    data = bytearray(model)
    session = _indirect(data, 0)
    graph = _indirect(data, _field(data, _indirect(data, _field(data, session, 1)), _GRAPH))
    data += bytes(-len(data) % 4)
    place = _field(data, graph, _OUTPUTS_FIELD)
    struct.pack_into("<I", data, place, len(data) - place)
    first = len(data) + 4
    data += struct.pack("<I", len(names)) + bytes(4 * len(names))
    for number, name in enumerate(names):
        place = first + 4 * number
        struct.pack_into("<I", data, place, len(data) - place)
        text = name.encode()
        data += struct.pack("<I", len(text)) + text + bytes(1 + -(len(text) + 1) % 4)
    return bytes(data)


_GRAPH = 7
_OUTPUTS_FIELD = 6


def _indirect(data: bytearray, place: int) -> int:
    """Where the offset at `place` points to."""
    offset: int = struct.unpack_from("<I", data, place)[0]
    return place + offset


def _field(data: bytearray, table: int, number: int) -> int:
    """Where a table's field of this number stands."""
    back: int = struct.unpack_from("<i", data, table)[0]
    offset: int = struct.unpack_from("<H", data, table - back + 4 + 2 * number)[0]
    return table + offset
