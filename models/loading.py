"""Loading a network from its checkpoint, ready to infer: one way and one wording for faces, voices and both.

torch is imported where it is needed, not before: what infers on a CPU mostly does without.
"""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from emopipe.models import checkpoint
from emopipe.models.checkpoint import Card
from emopipe.pipeline.errors import ModelError

if TYPE_CHECKING:
    from torch import nn

N = TypeVar("N", bound="nn.Module")

Backend = Literal["auto", "onnxruntime", "torch"]
"""What computes a network; auto: ONNX Runtime on a CPU, torch elsewhere."""

GPU_DEVICES = tuple(map(Path, ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")))
"""What Linux has where there is a driver of NVIDIA's, of Windows' below it, or of AMD's."""


def load_network(path: Path | None, task: str, networks: Mapping[str, Callable[..., N]]) -> tuple[N, Card]:
    """The torch network in a checkpoint (by default the shipped one of `task`), to evaluate on the CPU, and its card.

    Raises:
        ModelError: the file is missing, damaged or of another task; its network is not among `networks`, or does not
            fit its weights or its labels.
    """
    path = path or checkpoint.WEIGHTS_DIR / f"{task}.safetensors"
    state, card = checkpoint.load(path, task)
    if card.network not in networks:
        raise ModelError(f"{path}: network {card.network!r} is unknown; the networks are {', '.join(networks)}")
    with fitting(path):
        network = networks[card.network](**card.options)
        network.load_state_dict(state)
    need_outputs(path, card, getattr(getattr(network, "head", None), "out_features", len(card.labels)))
    return network.eval(), card


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """Around making a network of a checkpoint's weights and options.

    Raises:
        ModelError: they did not fit.
    """
    try:
        yield
    except (RuntimeError, TypeError, ValueError) as error:
        problem = str(error).splitlines()[-1].strip()
        raise ModelError(f"{path}: its weights do not fit its card: {problem}; restore it or train it again") from None


def need_outputs(path: Path, card: Card, outputs: int) -> None:
    """Raises ModelError unless the network in a checkpoint has as many outputs as its card has labels."""
    if outputs != len(card.labels):
        raise ModelError(f"{path}: {len(card.labels)} labels for {outputs} outputs; restore it or train it again")


def pick_device(name: str = "auto") -> str:
    """The device of this name of torch's; for "auto" a GPU ("cuda") if there is one, else the CPU.

    Raises:
        ModelError: there is none of this name.
    """
    if name == "cpu" or (name == "auto" and not _may_have_gpu()):
        return "cpu"
    import torch

    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        problem = str(error).splitlines()[0]
        raise ModelError(f"device {name!r} cannot be used: {problem}; `auto` takes what is there") from None
    return "cpu" if device.type == "cpu" else name


def pick_backend(name: Backend = "auto", device: str = "auto") -> tuple[str, str]:
    """The library that computes a network, and the device it does so on (see `pick_device`).

    Raises:
        ModelError: it is not installed, or does not compute there; there is no such device.
    """
    if problem := backend_problem(name, device):
        raise ModelError(f"backend {name!r} cannot be used: {problem}")
    device = "cpu" if name == "onnxruntime" else pick_device(device)
    library = ("onnxruntime" if device == "cpu" else "torch") if name == "auto" else name
    if not _installed(library):
        raise ModelError(
            f"{library}, which infers on device {device!r}, is not installed: pip install {library}, or choose "
            "another backend"
        )
    return library, device


def backend_problem(name: Backend, device: str) -> str | None:
    """Why a back end that was asked for by name cannot be used, with the remedy; None where it can."""
    if name == "auto":
        return None
    if not _installed(name):
        return f"{name} is not installed; pip install {name}, or choose another"
    if name == "onnxruntime" and device not in ("auto", "cpu"):
        return f"it computes on the CPU, but device is {device!r}; `torch` computes there"
    return None


def set_torch_threads(count: int) -> None:
    """Let torch compute on so many threads, where it is loaded: OpenMP's setting is the calling thread's own."""
    if "torch" in sys.modules:
        import torch  # which waits where another thread is about it

        torch.set_num_threads(count)


def _installed(library: str) -> bool:
    return find_spec(library) is not None


def _may_have_gpu() -> bool:
    """Whether it is worth asking torch, whose import takes seconds and hundreds of megabytes."""
    if sys.platform == "darwin":
        return False  # "auto" means CUDA
    return os.name == "nt" or any(path.exists() for path in GPU_DEVICES)
