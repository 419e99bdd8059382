"""One file a model: safetensors, with everything needed to use it in the file's own metadata."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec
import numpy as np

from emopipe.models.calibration import Selection
from emopipe.pipeline.errors import EmopipeError, ModelError
from emopipe.pipeline.files import replacing

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

WEIGHTS_DIR = Path(__file__).parent / "weights"


class Card(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """The description and origin of a checkpoint.

    `network` names a class in the `NETWORKS` of its task (`models.facial.networks`, `models.speech.networks`,
    `models.fusion.networks`); `options` are its constructor's arguments. `temperature` divides the logits so that a
    probability is a frequency (Guo et al. 2017); where there are `temperatures`, they do so, by the length of what was
    heard (`models.speech.temperature`). `prior` is the share of each label in the training data, which another prior
    is measured against, and `selective` says below which confidence an answer is uncertain for a stated risk (both: see
    `emopipe.models.calibration`; empty where nobody filled them). `data_sha256` identifies the training data, `command`
    remakes the file.
    """

    task: Literal["facial", "speech", "fusion"]
    network: str
    options: dict[str, Any]
    labels: list[str]
    features: dict[str, Any]
    temperature: float
    config: dict[str, Any]
    seed: int
    data_sha256: str
    command: str
    metrics: dict[str, float]
    temperatures: list[tuple[float, float]] = []
    doubt: tuple[float, float] = (0.0, 0.0)
    prior: dict[str, float] = {}
    selective: list[Selection] = []


def save(path: Path, state: "Mapping[str, torch.Tensor | NDArray[Any]]", card: Card) -> None:
    """Write a checkpoint so that a full disk or a crash leaves the last good file in place.

    Raises:
        EmopipeError: it cannot be written: the disk is full, or the folder is not ours to write in.
    """
    from safetensors.numpy import save as serialise

    arrays = {
        name: np.array(value if isinstance(value, np.ndarray) else value.detach().cpu().numpy(), order="C")
        for name, value in state.items()
    }
    content = serialise(arrays, metadata={"emopipe": msgspec.json.encode(card).decode()})
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as file:
            file.write_bytes(content)
    except OSError as error:
        kept = "; the weights that were there are untouched" if path.is_file() else ""
        raise EmopipeError(
            f"{path}: cannot be written ({error.strerror}){kept}; make room, or give another --out"
        ) from None


def load(path: Path, task: str) -> "tuple[dict[str, torch.Tensor], Card]":
    """Read a checkpoint made for `task`.

    Raises:
        ModelError: the file is missing, damaged, not a checkpoint of ours, or for another task.
    """
    return _read(path, task, "pt")


def load_arrays(path: Path, task: str) -> "tuple[dict[str, NDArray[Any]], Card]":
    """Read as `load`, into NumPy arrays: for a process that does without torch."""
    return _read(path, task, "np")


def read_card(path: Path) -> Card:
    """The card of a checkpoint made for any task.

    Raises:
        ModelError: the file is missing, damaged, or not a checkpoint of ours.
    """
    return _read(path, None, "np")[1]


def _read(path: Path, task: str | None, framework: str) -> tuple[dict[str, Any], Card]:
    from safetensors import SafetensorError, safe_open

    if path.is_dir():
        raise ModelError(f"{path}: a folder; give the file of weights in it, whose name ends in .safetensors")
    if not path.is_file():
        raise ModelError(
            f"{path}: no such weights; train them with `emopipe train {task or 'MODEL'}` or restore the file"
        )
    try:
        with safe_open(path, framework=framework) as file:
            metadata = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        card = msgspec.json.decode(metadata["emopipe"], type=Card)
    except KeyError:
        raise ModelError(f"{path}: not an emopipe checkpoint (its metadata has no card)") from None
    except (SafetensorError, msgspec.MsgspecError, OSError) as error:
        raise ModelError(
            f"{path}: damaged weights, or another kind of file ({error}); restore the file or train it again"
        ) from None
    if task is not None and card.task != task:
        raise ModelError(f"{path}: a {card.task} model, but a {task} model is needed")
    return state, card
