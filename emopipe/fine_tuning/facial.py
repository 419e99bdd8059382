"""Fine-tuning the face classifier on labelled pictures: a new last layer on what the shipped network sees."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from emopipe.fine_tuning.card import fine_tuned, notes
from emopipe.fine_tuning.classifier import Examples, learn
from emopipe.fine_tuning.faces import read_faces
from emopipe.fine_tuning.files import prepare
from emopipe.fine_tuning.folds import need_enough
from emopipe.models import checkpoint
from emopipe.models.calibration import temperature_at
from emopipe.models.facial.base import FaceNetwork
from emopipe.models.facial.networks import NETWORKS
from emopipe.models.loading import load_network
from emopipe.training.evaluation.results import Evaluation


def fine_tune(config: dict[str, Any], data: Path, people: Path | None, out: Path) -> Evaluation:
    """Learn the classes of a folder of pictures, write weights to `out`, and say how well people not trained on are
    judged.

    Raises:
        EmopipeError: a setting is wrong, or `out` is not to be written over.
        DataError: see `files.prepare`, `faces.read_faces`.
    """
    settings, found = prepare("facial", config, data, people, out)
    files, crops = read_faces(data, found.files, found.left_out)
    used = found._replace(files=files)
    need_enough(data, used.files, used.labels)
    network, base = load_network(None, "facial", NETWORKS)
    embedded, distances = embed(network, crops)
    # The farther a face lies from those the network knows, the flatter, in the proportion of the shipped weights.
    knots = [(place, value / base.temperature) for place, value in base.temperatures]
    scale = torch.from_numpy(temperature_at(knots, distances)) if knots else torch.ones(len(files), dtype=torch.float64)
    learnt = learn(Examples(files, embedded, scale), found.labels, settings)
    evaluation = Evaluation({"images": learnt.answers}, notes=notes(used, f"{len(files)} faces", "picture"))
    replace_head(network, learnt.head)
    card = fine_tuned(base, found, used, settings, learnt, evaluation, knots, data)
    checkpoint.save(out, network.state_dict(), card)
    return evaluation


@torch.no_grad()
def embed(network: FaceNetwork, crops: NDArray[np.uint8]) -> tuple[Tensor, NDArray[np.float64]]:
    """Embeddings [N, D] of crops, in units of the typical length, and their distances [N]."""
    parts = [network.embed(network.prepare(batch)) for batch in torch.split(torch.from_numpy(crops), 256)]
    embedded = torch.cat(parts)
    distances: NDArray[np.float64] = network.distance(embedded).double().numpy()
    return (embedded / network.typical_length).double(), distances


def replace_head(network: FaceNetwork, weights: Tensor) -> None:
    """Give the network these weights for both of its heads: of its own labels there is one labelling only."""
    for name in ("head", "fer2013_head"):
        head = nn.Linear(weights.shape[0] - 1, weights.shape[1])
        with torch.no_grad():
            head.weight.copy_((weights[:-1].T / network.typical_length).float())
            head.bias.copy_(weights[-1].float())
        setattr(network, name, head)
