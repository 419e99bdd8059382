"""The voice encoder: Moonshine tiny (Jeffries et al. 2024, arXiv:2410.15608), which was taught to write down speech.

What it knows of speech in general lets a small head tell emotions of people, and in languages, that the head never
heard. It is not ours to keep: `emopipe.models.assets` fetches it, by its checksum.
"""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from emopipe.models import assets
from emopipe.models.speech.features import Floats
from emopipe.models.speech.ort_format import subgraph
from emopipe.pipeline.errors import ModelError

if TYPE_CHECKING:
    import onnxruntime

LAYERS = 6
WIDTH = 288
LEAST_SAMPLES = 1600
"""0.1 s: its convolutions need 1,200 samples; shorter sound is padded with silence."""

_VALUES = (
    "/Transpose_output_0",
    *(f"/layers.{layer}/Add_1_output_0" for layer in range(LAYERS - 1)),
    "last_hidden_state",
)
"""The graph's names of what lies before the first layer and behind each."""


class Encoder:
    """16 kHz sound in; out, 41 times a second, what some of its layers make of it. Those behind them are not computed.

    What lies between the layers says more of how somebody speaks than the last one, which knows best what they say. A
    window's outputs have the same bits whatever else is computed: each goes through alone, on one thread.

    Args:
        layers: 0 (before the first) to 6.
        path: the model's file, by default the one that `emopipe.models.assets` knows.

    Raises:
        ModelError: there is no such file as we know, or ONNX Runtime is not installed.
    """

    def __init__(self, layers: Sequence[int] = range(LAYERS + 1), path: Path | None = None) -> None:
        self._session = _session(path or assets.voice_encoder_model(), tuple(_VALUES[layer] for layer in layers))

    def __call__(self, samples: Floats) -> Floats:
        """Mono sound float32 [n] in -1..1 -> float32 [layers, T, 288]."""
        missing = LEAST_SAMPLES - len(samples)
        sound = np.pad(samples, (0, missing)) if missing > 0 else samples
        inputs = {"input_values": sound[None], "attention_mask": np.ones((1, len(sound)), np.int64)}
        return np.concatenate(self._session.run(None, inputs))


@cache
def _session(path: Path, values: tuple[str, ...]) -> "onnxruntime.InferenceSession":
    try:
        import onnxruntime
    except ImportError:
        raise ModelError("the voice encoder needs onnxruntime: pip install onnxruntime") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(
        subgraph(path.read_bytes(), values), options, providers=["CPUExecutionProvider"]
    )
