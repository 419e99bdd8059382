"""Trained models as ONNX files, calibration included, and the proof that they say the same.

What goes in and comes out of each, all of any number N:

    facial   faces uint8 [N, 48, 48]: grey crops framed as FER2013's (`emopipe.models.face_detection.detection`)
    speech   mfcc float32 [N, T, 40]: windows of one length each call (`speech.features.mfcc`); deltas are made inside
    fusion   the fields of `emopipe.models.fusion.networks.Moment` that its network uses, float32
    out      logits and calibrated probabilities, float32 [N, labels]

The file's metadata holds labels, features, temperature and where the model comes from, as JSON.

The export goes by tracing (TorchScript): the newer one, by `torch.export`, cannot do an LSTM over a length that varies,
as of torch 2.11, and takes ten times as long for the others.
"""

import importlib.util
import io
import json
import math
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emopipe.models import checkpoint
from emopipe.models.checkpoint import Card
from emopipe.models.facial import networks as facial_networks
from emopipe.models.facial.base import prepare
from emopipe.models.facial.crops import SIZE
from emopipe.models.fusion.model import FusionModel, make_moment
from emopipe.models.fusion.networks import Moment
from emopipe.models.loading import load_network
from emopipe.models.speech import networks as speech_networks
from emopipe.models.speech.features import MfccSpec
from emopipe.models.speech.files import FALLBACK
from emopipe.pipeline.errors import EmopipeError, ModelError
from emopipe.pipeline.files import replacing

MAX_DIFFERENCE = 1e-4  # of a probability
OPSET = 17

Arrays = dict[str, NDArray[Any]]


class _Calibrated(nn.Module):
    """Adds to a network's logits the probabilities at a temperature that may depend on the seconds heard."""

    def __init__(self, card: Card) -> None:
        super().__init__()
        self._temperature = card.temperature
        self._knots = np.log(card.temperatures).tolist() if card.temperatures else []

    def forward(self, logits: Tensor, seconds: Tensor | None = None) -> tuple[Tensor, Tensor]:
        if seconds is None or not self._knots:
            return logits, (logits / self._temperature).softmax(dim=1)
        place = seconds.log()
        temperature = torch.full_like(place, self._knots[0][1])
        for (start, low), (end, high) in zip(self._knots, self._knots[1:], strict=False):
            temperature = temperature + (place.clamp(start, end) - start) * ((high - low) / (end - start))
        return logits, (logits / temperature.exp()).softmax(dim=1)


class Exportable(nn.Module):
    """A model of one task, as it will stand in the file.

    Attributes:
        card: of the checkpoint.
        varying: the dimensions that may vary, by input, in the order of the inputs.
    """

    card: Card
    varying: ClassVar[Mapping[str, Mapping[int, str]]]

    def inputs(self, random: np.random.Generator) -> Iterator[Arrays]:
        """Inputs to try, of several sizes; the first one is traced."""
        raise NotImplementedError


class Facial(Exportable):
    """Grey crops in."""

    varying: ClassVar[Mapping[str, Mapping[int, str]]] = {"faces": {0: "N"}}

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self.network, self.card = load_network(path, "facial", facial_networks.NETWORKS)
        self.calibrated = _Calibrated(self.card)

    def forward(self, faces: Tensor) -> tuple[Tensor, Tensor]:
        answers: tuple[Tensor, Tensor] = self.calibrated(self.network(prepare(faces)))
        return answers

    def inputs(self, random: np.random.Generator) -> Iterator[Arrays]:
        """Noise, and what is as smooth as a face."""
        for count in (2, 1, 3):
            waves = np.sin(np.linspace(0, 6, SIZE) * random.uniform(0.5, 2, (count, SIZE, 1)))
            noise = random.uniform(-1, 1, (count, SIZE, SIZE))
            yield {"faces": (128 + 50 * waves + (80 if count == 1 else 20) * noise).clip(0, 255).astype(np.uint8)}


class Speech(Exportable):
    """Windows of MFCC in, all of one length."""

    varying: ClassVar[Mapping[str, Mapping[int, str]]] = {"mfcc": {0: "N", 1: "T"}}

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self.network, self.card = load_network(path or FALLBACK, "speech", speech_networks.NETWORKS)
        self.spec = msgspec.convert(self.card.features, MfccSpec)
        self.calibrated = _Calibrated(self.card)

    def forward(self, mfcc: Tensor) -> tuple[Tensor, Tensor]:
        ones = torch.ones_like(mfcc[:, :, :1])
        seconds = ones.sum(dim=1) * (self.spec.hop / self.spec.sample_rate)  # a length that the trace keeps
        answers: tuple[Tensor, Tensor] = self.calibrated(self.network(self._features(mfcc)), seconds)
        return answers

    def _features(self, mfcc: Tensor) -> Tensor:
        """`emopipe.models.speech.features.window_features` in operations that a trace can hold for any length."""
        delta = _deltas(mfcc, self.spec.delta_window // 2)
        return torch.cat([mfcc, delta, _deltas(delta, self.spec.delta_window // 2)], dim=2)

    def inputs(self, random: np.random.Generator) -> Iterator[Arrays]:
        """Noise with the course of MFCC: the first coefficient is the level, the others shrink as they go up."""
        scale = 60.0 / np.arange(1, self.spec.coefficients + 1)
        for count, frames in ((2, 70), (1, 298), (3, 131), (2, 33)):
            noise = random.normal(0, 1, (count, frames, self.spec.coefficients)) * scale
            yield {"mfcc": noise.astype(np.float32)}


def _deltas(x: Tensor, reach: int) -> Tensor:
    """The regression over `reach` frames on either side, [N, T, C]; the first and last frames are repeated."""
    ends = [x[:, :1].expand(-1, reach, -1), x, x[:, -1:].expand(-1, reach, -1)]
    longer, length = torch.cat(ends, dim=1), x.shape[1]
    steps = range(1, reach + 1)
    apart = [k * (longer[:, reach + k : reach + k + length] - longer[:, reach - k : reach - k + length]) for k in steps]
    return torch.stack(apart).sum(dim=0) / (2 * sum(k * k for k in steps))


class Fusion(Exportable):
    """The parts of a `Moment` in."""

    varying: ClassVar[Mapping[str, Mapping[int, str]]] = {part: {0: "N"} for part in Moment._fields}

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self.card = checkpoint.read_card(path or checkpoint.WEIGHTS_DIR / "fusion.safetensors")
        model = FusionModel.load(path)
        self._network = model.network
        self.names = list(model.weights)
        self.weights = nn.ParameterList([torch.tensor(value, dtype=torch.float32) for value in model.weights.values()])
        self.calibrated = _Calibrated(self.card)

    def forward(self, *parts: Tensor) -> tuple[Tensor, Tensor]:
        weights = dict(zip(self.names, self.weights, strict=True))
        answers: tuple[Tensor, Tensor] = self.calibrated(self._network.logits(weights, Moment(*parts)))
        return answers

    def inputs(self, random: np.random.Generator) -> Iterator[Arrays]:
        """Both halves, either alone, and nothing."""
        empty = make_moment([], [])._asdict()
        for count, seen, heard in ((2, 1, 1), (1, 1, 1), (3, 1, 0), (2, 0, 1), (1, 0, 0)):
            there = {"face": seen, "seen": seen, "voice": heard, "heard": heard, "length": heard, "timbre": heard}
            yield {
                part: (self._part(part, (count, *value.shape[1:]), random) * there.get(part, heard)).astype(np.float32)
                for part, value in empty.items()
            }

    @staticmethod
    def _part(part: str, shape: tuple[int, ...], random: np.random.Generator) -> NDArray[Any]:
        flags = part in ("seen", "heard")
        return random.integers(0, 2, shape) if flags else random.normal(0, 1, shape)


TASKS: dict[str, Callable[[Path | None], Exportable]] = {"facial": Facial, "speech": Speech, "fusion": Fusion}


def export(task: str, weights: Path | None, out: Path, check: bool = True) -> float | None:
    """Write the model in `weights` (by default the shipped one) to `out`, whole or not at all.

    Gives the largest difference between the probabilities of both, on inputs of several sizes, if they were compared.

    Raises:
        ModelError: the weights cannot be used, what exports or checks is not installed, or the difference is larger
            than `MAX_DIFFERENCE`.
        EmopipeError: `out` cannot be written.
    """
    needed = ["onnx", "onnxruntime"] if check else ["onnx"]
    if lacking := [package for package in needed if importlib.util.find_spec(package) is None]:
        raise ModelError(f'{" and ".join(lacking)} not installed; install with: pip install "emopipe[onnx]"')
    model = TASKS[task](weights).eval()
    random = np.random.default_rng(0)
    try:
        with replacing(out) as file:
            file.write_bytes(_file(model, next(model.inputs(random))))
            difference = _difference(model, file, random) if check else None
            if difference is not None and not difference <= MAX_DIFFERENCE:
                raise ModelError(f"{out}: not written: its probabilities differ from the model's by {difference:.1e}")
    except OSError as error:
        raise EmopipeError(f"{out}: cannot be written ({error.strerror}); choose another place") from None
    return difference


def _file(model: Exportable, example: Arrays) -> bytes:
    """The traced model with its metadata, as bytes."""
    import onnx

    arrays = tuple(torch.from_numpy(example[name]) for name in model.varying)
    buffer = io.BytesIO()
    outputs = ["logits", "probabilities"]
    with torch.inference_mode(), warnings.catch_warnings():
        # It warns of being the older way, and of every Python value in the trace; the check shows what is worth what.
        warnings.simplefilter("ignore")
        model(*arrays)  # what is imported on first use cannot be imported while tracing
        torch.onnx.export(
            model,
            arrays,
            buffer,  # type: ignore[arg-type]  # as the older exporter takes it
            dynamo=False,
            input_names=list(model.varying),
            output_names=outputs,
            dynamic_axes={**model.varying, **{name: {0: "N"} for name in outputs}},
            opset_version=OPSET,
        )
    proto = onnx.load_model_from_string(buffer.getvalue())
    card = model.card
    about = {
        "task": card.task,
        "network": card.network,
        "labels": card.labels,
        "features": card.features,
        "temperature": card.temperature,
        "temperatures": card.temperatures,
        "prior": card.prior,
        "selective": card.selective,
        "seed": card.seed,
        "data_sha256": card.data_sha256,
        "command": card.command,
    }
    onnx.helper.set_model_props(proto, {name: json.dumps(value) for name, value in about.items()})
    onnx.checker.check_model(proto)
    data: bytes = proto.SerializeToString()
    return data


def _difference(model: Exportable, path: Path, random: np.random.Generator) -> float:
    """The largest one between the probabilities of the file and of the model."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    used = [each.name for each in session.get_inputs()]  # a trace leaves out what has no influence
    largest = 0.0
    for arrays in model.inputs(random):
        with torch.inference_mode():
            _, expected = model(*(torch.from_numpy(arrays[name]) for name in model.varying))
        got = session.run(["probabilities"], {name: arrays[name] for name in used})[0]
        difference = np.abs(got - expected.numpy()).max() if got.shape == tuple(expected.shape) else math.inf
        largest = max(largest, float(difference))
    return largest
