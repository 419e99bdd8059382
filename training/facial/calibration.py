"""What a trained face classifier's answers are worth: how strange a face is to it, temperatures, prior and risks.

Fitted on faces that were not trained on: PublicTest by what most of FER+'s voters saw, and RAF-DB's validation tenth.
Every other one of them is for the temperatures, the rest for figures and risks. Where a face lies far from those
trained on, no label can be trusted; what such faces look like is made from them (`strangers`): nearly black, of a few
pixels, turned, blurred, half covered, drawn, or no faces at all, whose every label is wrong. The risks are those of a
camera that shows strange faces beside usual ones.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emopipe.models import checkpoint
from emopipe.models.calibration import Knot, selective, softmax, temperature_at
from emopipe.models.facial.base import FaceNetwork
from emopipe.models.facial.crops import CONTRAST_FLOOR, SIZE
from emopipe.models.facial.graphs import measure_ranges
from emopipe.models.facial.networks import CustomCNN
from emopipe.models.labels import FACE
from emopipe.training.evaluation import metrics
from emopipe.training.facial.batches import Corpus, judge, one_hot
from emopipe.training.facial.module import unmoved
from emopipe.training.facial.settings import Settings

EMBEDDED = 2048
"""How many training faces the typical length of an embedding, and the ranges of activations, are taken from."""

STRANGERS = 400
"""How many faces the strange ones of each kind are made from."""

STIFFNESS = 1e-3
"""Of the temperatures' course over the distance: a knot near which no face lies follows its neighbours."""

USUAL_WEIGHT = 4.0
"""How much more faces as they are count for the temperatures than strange ones: a camera mostly shows the former."""

KNOTS = (0.7, 1.0, 1.3, 1.7, 2.2, 3.0, 5.0)
"""Distances at which temperatures are fitted: one held-out face in twenty lies below 0.75, one in twenty above 1.5."""


class HeldOut(NamedTuple):
    """Faces that were not trained on, uint8 [N, 48, 48], and what people see in them, int64 [N]."""

    images: NDArray[np.uint8]
    targets: NDArray[np.int64]

    def every(self, step: int, start: int = 0) -> "HeldOut":
        """Every so many-th face."""
        return HeldOut(self.images[start::step], self.targets[start::step])


def held_out(corpus: Corpus) -> HeldOut:
    """PublicTest's faces of which something is known, and RAF-DB's validation tenth."""
    known = corpus.seen >= 0
    images, targets = [corpus.watched.images[known]], [corpus.seen[known]]
    if corpus.rafdb is not None:
        images.append(corpus.rafdb.images)
        targets.append(corpus.rafdb.targets)
    return HeldOut(np.concatenate(images), np.concatenate(targets))


@torch.inference_mode()
def measure_activations(network: FaceNetwork, corpus: Corpus) -> None:
    """Set what a network keeps of how training faces, of all sources, excite it.

    That is the median length of an embedding, by which `network.distance` measures, and of a `CustomCNN` the ranges of
    its activations, by which a CPU computes it in 8 bits.
    """
    total, random, parts = sum(map(len, corpus.sources)), np.random.default_rng(0), []
    for source in corpus.sources:
        count = min(len(source), max(1, EMBEDDED * len(source) // total))
        chosen = source.subset(torch.from_numpy(random.permutation(len(source))[:count]))
        parts += [network.prepare(batch) for batch in torch.split(unmoved(chosen, network), 256)]
    device = next(network.parameters()).device
    lengths = [network.embed(part.to(device)).float().norm(dim=1) for part in parts]
    network.typical_length.copy_(torch.cat(lengths).median())
    if isinstance(network, CustomCNN):
        weights = {name: tensor.cpu().numpy() for name, tensor in network.state_dict().items()}
        faces = torch.cat(parts).numpy()
        ranges = measure_ranges(weights, faces, network.widths, network.head.out_features)
        network.activation_ranges.copy_(torch.from_numpy(ranges))


def strangers(faces: HeldOut, seed: int = 0) -> tuple[dict[str, NDArray[np.uint8]], NDArray[np.uint8]]:
    """Versions of faces of which less can be told, by name, and pictures of no face, made of their parts."""
    import cv2

    random, images = np.random.default_rng(seed), faces.images

    def each(change: Any) -> NDArray[np.uint8]:
        return np.stack([change(image) for image in images]).astype(np.uint8)

    def shrink(image: NDArray[np.uint8]) -> Any:
        small = cv2.resize(image, (6, 6), interpolation=cv2.INTER_AREA)
        return cv2.resize(small, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR)

    def draw(image: NDArray[np.uint8]) -> Any:
        large = cv2.medianBlur(cv2.resize(image, (3 * SIZE, 3 * SIZE), interpolation=cv2.INTER_CUBIC), 5)
        lines = cv2.adaptiveThreshold(large, 255, cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY, 15, 4)
        return cv2.resize(lines, (SIZE, SIZE), interpolation=cv2.INTER_AREA)

    def shuffle(image: NDArray[np.uint8]) -> Any:
        tiles = image.reshape(4, 12, 4, 12).swapaxes(1, 2).reshape(16, 12, 12)
        return tiles[random.permutation(16)].reshape(4, 4, 12, 12).swapaxes(1, 2).reshape(SIZE, SIZE)

    covered = images.copy()
    covered[:, :, SIZE // 2 :] = 128
    versions = {
        "dark": (images * 0.05 + random.normal(0, 1.5, images.shape)).clip(0, 255).round().astype(np.uint8),
        "tiny": each(shrink),
        "sideways": np.ascontiguousarray(np.rot90(images, axes=(1, 2))),
        "upside down": np.ascontiguousarray(images[:, ::-1]),
        "blurred": each(lambda image: cv2.GaussianBlur(image, (0, 0), 3)),
        "half covered": covered,
        "drawn": each(draw),
    }
    return versions, each(shuffle)


def fit_temperatures(
    logits: Tensor, shares: Tensor, distances: Tensor, weights: Tensor, knots: Sequence[float] = KNOTS
) -> list[Knot]:
    """The temperatures at `knots` that minimise the cross-entropy of softmax(logits / T) against `shares`.

    T as in `emopipe.models.calibration.temperature_at`. Farther away it never falls: nobody should be surer of what is
    stranger.

    Args:
        logits: [N, classes].
        shares: [N, classes] what is to be said: one label, or all alike where nothing is to be seen.
        distances: [N].
        weights: [N] how much each face counts.
    """
    places = np.log(np.array(knots))
    at = np.log(distances.double().clamp_min(1e-9).numpy())
    between = torch.from_numpy(np.stack([np.interp(at, places, row) for row in np.eye(len(knots))], axis=1))
    logits, shares = logits.detach().double(), shares.double()
    first = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    rises = torch.full((len(knots) - 1,), -2.0, dtype=torch.float64, requires_grad=True)

    def logarithms() -> Tensor:
        return torch.cat([first, first + torch.nn.functional.softplus(rises).cumsum(0)])

    optimizer = torch.optim.LBFGS([first, rises], max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        scaled = logits / (between @ logarithms()).exp()[:, None]
        loss = -(shares * scaled.log_softmax(dim=1)).sum(dim=1).mul(weights).sum() / weights.sum()
        loss = loss + STIFFNESS * logarithms().diff().square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    with torch.enable_grad():
        optimizer.step(closure)  # type: ignore[no-untyped-call]
    return list(zip(knots, logarithms().detach().exp().tolist(), strict=True))


class Judged(NamedTuple):
    """Held-out faces and strange ones made of them, judged: logits [N, 7], distances [N], and what is to be said, [N]
    class indices, -1 of what is no face; how much each counts, [N]."""

    logits: Tensor
    distances: Tensor
    targets: Tensor
    weights: Tensor


def judge_with_strangers(network: FaceNetwork, faces: HeldOut) -> Judged:
    """Judge faces as they are, which count `USUAL_WEIGHT` times as much as all strange kinds together, and those."""
    some = faces.every(max(1, len(faces.targets) // STRANGERS))
    versions, none = strangers(some)
    kinds = [(faces.images, faces.targets)] + [(images, some.targets) for images in versions.values()]
    kinds.append((none, np.full(len(none), -1)))
    judged = [judge(network, images) for images, _ in kinds]
    logits, distances = (torch.cat([getattr(each, part) for each in judged]) for part in ("people", "distance"))
    usual, strange = len(faces.targets), len(logits) - len(faces.targets)
    weights = torch.cat([torch.full((usual,), USUAL_WEIGHT / usual), torch.full((strange,), 1 / strange)])
    return Judged(logits, distances, torch.from_numpy(np.concatenate([targets for _, targets in kinds])), weights)


def fitted_temperatures(judged: Judged) -> list[Knot]:
    """Temperatures by the distance; of what is no face, every label is to be said alike."""
    shares = torch.full((len(judged.targets), len(FACE)), 1 / len(FACE))
    shares[judged.targets >= 0] = one_hot(judged.targets[judged.targets >= 0].numpy())
    return fit_temperatures(judged.logits, shares, judged.distances, judged.weights)


def training_prior(corpus: Corpus, settings: Settings) -> dict[str, float]:
    """The share of each label in what `head` was taught, as the batches show it."""
    total = torch.zeros(len(FACE), dtype=torch.float64)
    for source in corpus.sources:
        weights = source.people_weights.double()
        draws = weights if source.draws is None else weights * source.draws
        shares = (source.people.double() * draws.unsqueeze(1)).sum(dim=0)
        total += shares / shares.sum() * len(source)
    return dict(zip(FACE, (total / total.sum()).tolist(), strict=True))


def save(
    path: Path, network: FaceNetwork, corpus: Corpus, settings: Settings, origin: dict[str, Any], epochs: int
) -> None:
    """Write the network's weights with all that calibrates them.

    Args:
        origin: what the card says of where the weights come from: the command, checksums.
        epochs: trained so far.
    """
    measure_activations(network, corpus)
    faces = held_out(corpus)
    temperatures = fitted_temperatures(judge_with_strangers(network, faces.every(2)))
    rest = judge_with_strangers(network, faces.every(2, start=1))
    at = torch.from_numpy(temperature_at(temperatures, rest.distances.numpy()))
    usual = slice(len(faces.every(2, start=1).targets))
    config = msgspec.structs.asdict(settings) | origin
    figures = metrics.summarise(rest.logits[usual], rest.targets[usual], FACE, at[usual])
    card = checkpoint.Card(
        task="facial",
        network=settings.network,
        options={"dropout": settings.dropout},
        labels=list(FACE),
        features={"size": SIZE, "contrast_floor": CONTRAST_FLOOR},
        temperature=float(temperature_at(temperatures, [1.0])[0]),
        temperatures=temperatures,
        command=config.pop("command", ""),
        config=config,
        seed=settings.seed,
        data_sha256=corpus.sha256,
        metrics=figures | {"epochs": float(epochs)},
        prior=training_prior(corpus, settings),
        selective=selective(softmax(rest.logits.numpy(), at.numpy()), rest.targets.numpy()),
    )
    checkpoint.save(path, network.state_dict(), card)
