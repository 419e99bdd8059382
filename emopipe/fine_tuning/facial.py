"""Fine-tuning the face classifier on labelled pictures: a new last layer on what the shipped network sees.

The layer is a multinomial logistic regression, in which classes count alike; nothing in it depends on a schedule. It is
tested in folds of people, and then learns from all of them.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import msgspec
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor, nn

from emopipe.fine_tuning.faces import read_faces
from emopipe.fine_tuning.folder import Labelled, Labels, read
from emopipe.fine_tuning.folds import divide, need_enough
from emopipe.models import checkpoint
from emopipe.models.calibration import selective, temperature_at
from emopipe.models.facial.base import FaceNetwork
from emopipe.models.facial.networks import NETWORKS
from emopipe.models.loading import load_network
from emopipe.models.thresholds import DEFAULT_RISK
from emopipe.pipeline.errors import EmopipeError
from emopipe.predictor.inputs import IMAGES
from emopipe.training.evaluation.metrics import fit_temperature
from emopipe.training.evaluation.results import Answers, Evaluation
from emopipe.training.trainer.settings import Positive, parse_settings, typed_command


class Settings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How a folder's faces are learnt."""

    seed: Annotated[int, msgspec.Meta(ge=0)] = 1  # of the folds
    folds: Annotated[int, msgspec.Meta(ge=2, le=20)] = 5  # of people; fewer where there are fewer people
    decay: Positive = 0.01  # of the last layer's weights, where a face's embedding has about the length 1


def fine_tune(config: dict[str, Any], data: Path, people: Path | None, out: Path) -> Evaluation:
    """Learn the classes of a folder of pictures, write weights to `out`, and say how well people not trained on are
    judged.

    Raises:
        EmopipeError: a setting is wrong, or `out` is the shipped weights.
        DataError: see `folder.read`, `folds.need_enough`, `faces.read_faces`.
    """
    settings = parse_settings(config, Settings)
    if out.resolve() == (checkpoint.WEIGHTS_DIR / "facial.safetensors").resolve():
        raise EmopipeError(f"--out {out}: emopipe's own weights; give the new ones another name")
    found = read(data, IMAGES, people)
    need_enough(data, found.files, found.labels)
    files, crops = read_faces(data, found.files, found.left_out)
    need_enough(data, files, found.labels)
    network, base = load_network(None, "facial", NETWORKS)
    embedded, distances = embed(network, crops)
    targets = torch.tensor([found.labels.index(each.label) for each in files])
    folds = torch.from_numpy(divide(files, settings.folds, settings.seed))
    logits = torch.zeros(len(files), len(found.labels), dtype=torch.float64)
    for fold in range(int(folds.max()) + 1):
        head = fit_head(embedded[folds != fold], targets[folds != fold], len(found.labels), settings.decay)
        logits[folds == fold] = embedded[folds == fold] @ head[:-1] + head[-1]
    # The farther a face lies from those the network knows, the flatter, in the proportion of the shipped weights.
    knots = [(place, value / base.temperature) for place, value in base.temperatures]
    scale = torch.from_numpy(temperature_at(knots, distances)) if knots else torch.ones(len(files))
    scaled = logits / scale[:, None]
    each_fold = [fit_temperature(scaled[folds != fold], targets[folds != fold]) for fold in range(int(folds.max()) + 1)]
    known = bool(files[0].person)
    names = sorted({each.person for each in files})
    groups = torch.tensor([names.index(each.person) for each in files]) if known else None
    answers = Answers(logits, targets, found.labels, scale * torch.tensor(each_fold)[folds], groups, folds)
    evaluation = Evaluation({"images": answers}, notes=_notes(found, len(files), names if known else []))
    temperature = fit_temperature(scaled, targets)
    table = selective(answers.probabilities().numpy(), targets.numpy())
    if not any(each.risk <= DEFAULT_RISK for each in table):
        evaluation.notes.append(
            f"Too few answers to promise that at most {100 * DEFAULT_RISK:.0f} % are wrong: the weights have no "
            "table of risks."
        )
        table = []
    replace_head(network, fit_head(embedded, targets, len(found.labels), settings.decay))
    config = msgspec.structs.asdict(settings) | {
        "folder": data.name,
        "init": "facial.safetensors",
        "tested_apart": [
            sorted({files[i].person for i in torch.nonzero(folds == fold).flatten().tolist()})
            for fold in range(int(folds.max()) + 1)
        ]
        if known
        else [],
    }
    card = checkpoint.Card(
        task="facial",
        network=base.network,
        options={**base.options, "classes": len(found.labels)},
        labels=list(found.labels),
        features=base.features,
        temperature=temperature,
        temperatures=[(place, value * temperature) for place, value in knots],
        command=typed_command(),
        config=config,
        seed=settings.seed,
        data_sha256=_sha256(data, files),
        metrics=evaluation.report().flat(),
        prior=dict.fromkeys(found.labels, 1 / len(found.labels)),
        selective=table,
    )
    checkpoint.save(out, network.state_dict(), card)
    return evaluation


def fit_head(embedded: Tensor, targets: Tensor, classes: int, decay: float) -> Tensor:
    """Weights of a logistic regression with a bias in the last row, [D + 1, classes], for embeddings [N, D]."""
    weights = torch.zeros(embedded.shape[1] + 1, classes, dtype=torch.float64, requires_grad=True)
    alike = 1 / torch.bincount(targets, minlength=classes).clamp_min(1).double()[targets]
    alike /= alike.sum()
    optimizer = torch.optim.LBFGS([weights], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = F.cross_entropy(embedded @ weights[:-1] + weights[-1], targets, reduction="none")
        loss = (losses * alike).sum() + decay * weights[:-1].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return weights.detach()


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


def _notes(found: Labels, used: int, people: list[str]) -> list[str]:
    notes = [
        f"{len(people)} people, each judged by what the others taught: {', '.join(people[:8])}"
        f"{', …' if len(people) > 8 else ''}. The weights learnt from all of them."
        if people
        else "Nobody knows who is in which picture: these figures are of pictures, not of people not trained on; say "
        "who is who with --people, or by a folder for each person."
    ]
    notes += [f"{number} files left out: {reason}." for reason, number in sorted(found.left_out.items())]
    return [*notes, f"{used} faces in {len(found.labels)} classes: {', '.join(found.labels)}."]


def _sha256(root: Path, files: Sequence[Labelled]) -> str:
    digest = hashlib.sha256()
    for each in files:
        name = f"{each.path.relative_to(root).as_posix()}\0{each.label}\0{each.person}\0"
        digest.update(name.encode() + hashlib.sha256(each.path.read_bytes()).digest())
    return digest.hexdigest()
