"""Loading a network from its checkpoint, ready to infer: one way and one wording for faces, voices and both."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import nn

from emopipe.models import checkpoint
from emopipe.models.checkpoint import Card
from emopipe.pipeline.errors import ModelError

N = TypeVar("N", bound=nn.Module)


def load_network(path: Path | None, task: str, networks: Mapping[str, Callable[..., N]]) -> tuple[N, Card]:
    """The network in a checkpoint (by default the shipped one of `task`), in evaluation mode on the CPU, and its card.

    Raises:
        ModelError: the file is missing, damaged or of another task; its network is not among `networks`, or does not
            fit its weights or its labels.
    """
    path = path or checkpoint.WEIGHTS_DIR / f"{task}.safetensors"
    state, card = checkpoint.load(path, task)
    if card.network not in networks:
        raise ModelError(f"{path}: network {card.network!r} is unknown; the networks are {', '.join(networks)}")
    try:
        network = networks[card.network](**card.options)
        network.load_state_dict(state)
    except (RuntimeError, TypeError, ValueError) as error:
        problem = str(error).splitlines()[-1].strip()
        raise ModelError(f"{path}: its weights do not fit its card: {problem}; restore it or train it again") from None
    outputs = getattr(getattr(network, "head", None), "out_features", len(card.labels))
    if outputs != len(card.labels):
        raise ModelError(f"{path}: {len(card.labels)} labels for {outputs} outputs; restore it or train it again")
    return network.eval(), card


def pick_device(name: str = "auto") -> torch.device:
    """The device of this name of torch's; for "auto" a GPU if there is one, else the CPU.

    Raises:
        ModelError: there is none of this name.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        problem = str(error).splitlines()[0]
        raise ModelError(f"device {name!r} cannot be used: {problem}; `auto` takes what is there") from None
    return device
