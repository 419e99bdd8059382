"""Checkpoints of random weights: what they say is meaningless, but they say it with the real networks' kernels."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from emopipe.models import checkpoint
from emopipe.models.labels import FACE, SPEECH
from emopipe.models.speech.features import MfccSpec

if TYPE_CHECKING:
    import torch
    from torch import nn


def facial_weights(path: Path, labels: Sequence[str] = FACE) -> Path:
    """A checkpoint of the custom CNN at `path`."""
    import torch

    from emopipe.models.facial.networks import CustomCNN

    torch.manual_seed(0)
    return _save(path, CustomCNN(), "facial", "custom", labels, {})


def speech_weights(path: Path, spec: MfccSpec | None = None) -> Path:
    """A checkpoint of the LSTM at `path`."""
    import torch

    from emopipe.models.speech.networks import LSTM

    torch.manual_seed(0)
    return _save(path, LSTM(), "speech", "lstm", SPEECH, msgspec.structs.asdict(spec or MfccSpec()))


def fusion_weights(path: Path, network: str = "decision") -> Path:
    """A checkpoint of the network of this name at `path`."""
    import numpy as np
    import torch

    from emopipe.models.fusion.networks import NETWORKS

    weights = NETWORKS[network]().initial(np.random.default_rng(0))
    return _write(
        path, {name: torch.from_numpy(array) for name, array in weights.items()}, "fusion", network, SPEECH, {}
    )


def _save(
    path: Path,
    network: "nn.Module",
    task: Literal["facial", "speech"],
    name: str,
    labels: Sequence[str],
    features: dict[str, Any],
) -> Path:
    return _write(path, network.state_dict(), task, name, labels, features)


def _write(
    path: Path,
    state: "dict[str, torch.Tensor]",
    task: Literal["facial", "speech", "fusion"],
    name: str,
    labels: Sequence[str],
    features: dict[str, Any],
) -> Path:
    card = checkpoint.Card(
        task=task,
        network=name,
        options={},
        labels=list(labels),
        features=features,
        temperature=0.5,
        config={},
        seed=0,
        data_sha256="",
        command="",
        metrics={},
        prior={label: (place + 1) / sum(range(len(labels) + 1)) for place, label in enumerate(labels)},
    )
    checkpoint.save(path, state, card)
    return path
