"""What the face classifier is trained on, held in memory, in batches: FER2013 with FER+'s votes, and RAF-DB."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from torch import Tensor

from emopipe.models.facial.base import FaceNetwork, Judgement
from emopipe.models.labels import FACE
from emopipe.pipeline.errors import DataError
from emopipe.training.facial import class_folders, fer2013, ferplus
from emopipe.training.facial.settings import Settings

RAFDB_WINDOW = (-0.06, 1.06)
"""RAF-DB's faces fill a little more of their pictures than FER2013's do, by our own detector: what part of a picture
FER2013 would show, as the middle's height and the half side in half sides of the picture."""

NO_LABEL_WEIGHT = 0.5
"""How much a teacher's guess at what FER2013 would call a face of RAF-DB counts."""


@dataclass(frozen=True)
class Source:
    """Pictures of one corpus to train on, and what is to be learnt of each.

    Attributes:
        images: uint8 [N, H, W] or, for a network that sees colour, [N, 3, H, W].
        own: [N, 7] FER2013's label, as shares; `own_weights` [N], 0 where there is none.
        people: [N, 7] what people see, as shares; `people_weights` [N].
        draws: [N] how often each is drawn, relatively; None for each once an epoch.
        window: what part of a picture counts as its face (`augment.frame`).
    """

    images: Tensor
    own: Tensor
    own_weights: Tensor
    people: Tensor
    people_weights: Tensor
    draws: Tensor | None = None
    window: tuple[float, float] = (0.0, 1.0)

    def __len__(self) -> int:
        return len(self.images)

    def taught(self, answers: Tensor, label_share: float, vote_share: float, has_labels: bool) -> "Source":
        """The same, learning from teachers' out-of-fold `answers` [N, 2, 7] as well (people, FER2013).

        Where there is no label of a kind the teachers' answer stands alone.
        """
        people, own = answers.unbind(1)
        voted = (self.people_weights > 0).unsqueeze(1)
        return replace(
            self,
            own=label_share * self.own + (1 - label_share) * own if has_labels else own,
            own_weights=torch.full_like(self.own_weights, 1.0 if has_labels else NO_LABEL_WEIGHT),
            people=torch.where(voted, vote_share * self.people + (1 - vote_share) * people, people),
            people_weights=torch.ones_like(self.people_weights),
        )

    def subset(self, rows: Tensor) -> "Source":
        """Some of the pictures."""
        parts = ("images", "own", "own_weights", "people", "people_weights", "draws")
        kept = {name: value[rows] for name in parts if (value := getattr(self, name)) is not None}
        return replace(self, **kept)

    def to(self, device: torch.device) -> "Source":
        """The same on a device."""
        parts = ("images", "own", "own_weights", "people", "people_weights", "draws")
        return replace(self, **{n: value.to(device) for n in parts if (value := getattr(self, n)) is not None})


@dataclass(frozen=True)
class Corpus:
    """All that a training of the face classifier needs: the sources, FER2013's first, and what it is watched on.

    Attributes:
        sources: to train on.
        watched: PublicTest, whose labels `watched.targets` are FER2013's.
        seen: [N] what most people see in PublicTest's images: FER+'s top vote where one of our classes has it, else -1;
            without votes FER2013's label.
        rafdb: RAF-DB's validation tenth, if there is RAF-DB.
        sha256: of what was read.
        left_out: how many pictures were left out, by why.
    """

    sources: list[Source]
    watched: fer2013.Split
    seen: NDArray[np.int64]
    rafdb: class_folders.Pictures | None
    sha256: str
    left_out: dict[str, int]


def load(data: Path, settings: Settings, colour: bool = False) -> Corpus:
    """Read what `settings` name beside FER2013 at `data`; RAF-DB in `colour` for a teacher that sees it.

    Raises:
        DataError: one of them is missing or in another layout, or a split is empty.
    """
    dataset = fer2013.load(data)
    training, watched = dataset.split("Training"), dataset.split("PublicTest")
    own = one_hot(training.targets, settings.label_smoothing)
    ones = torch.ones(len(training))
    source = Source(torch.from_numpy(training.images), own, ones, own, ones)
    seen, sha256, left_out = watched.targets, [dataset.sha256], {}
    if settings.votes:
        votes = ferplus.load(Path(settings.votes), training.names)
        source = replace(source, people=torch.from_numpy(votes.shares), people_weights=torch.from_numpy(votes.weights))
        left_out["no face, or hardly a vote"] = int((votes.weights == 0).sum())
        seen = _majority(ferplus.load(Path(settings.votes), watched.names))
    sources, validation = [source], None
    if settings.rafdb:
        path = Path(settings.rafdb)
        if class_folders.corpus_of(path) != "rafdb":
            raise DataError(f"{path}: not RAF-DB; expected train/<class>/train_NNNNN_aligned.jpg in a folder or a zip")
        # Larger than a crop: what is turned and shifted shows what lies around.
        pictures = class_folders.load(path, "train", 100 if colour else 64, colour)
        validation = class_folders.load(path, "validation")
        sources.append(_rafdb(pictures, settings))
        sha256 += [pictures.sha256, validation.sha256]
        left_out |= pictures.left_out
    return Corpus(sources, watched, seen, validation, "+".join(sha256), left_out)


def one_hot(targets: NDArray[np.int64], smoothing: float = 0.0) -> Tensor:
    """Classes [N] as shares [N, 7], of which `smoothing` is spread over all."""
    shares = F.one_hot(torch.from_numpy(targets), len(FACE)).float()
    return shares * (1 - smoothing) + smoothing / len(FACE)


def _majority(votes: ferplus.Votes) -> NDArray[np.int64]:
    seven = votes.counts[:, : len(FACE)]
    known = (seven.max(axis=1) == votes.counts.max(axis=1)) & (votes.weights > 0)
    return np.where(known, seven.argmax(axis=1), -1)


def _rafdb(pictures: class_folders.Pictures, settings: Settings) -> Source:
    people = one_hot(pictures.targets, settings.label_smoothing)
    counts = np.bincount(pictures.targets, minlength=len(FACE))
    draws = torch.from_numpy(counts[pictures.targets].astype(np.float64) ** -settings.balance)
    images = torch.from_numpy(pictures.images)
    if images.ndim == 4:
        images = images.permute(0, 3, 1, 2).contiguous()
    zeros, ones = torch.zeros(len(images)), torch.ones(len(images))
    return Source(images, torch.zeros_like(people), zeros, people, ones, draws, RAFDB_WINDOW)


class FaceBatches:
    """Batches of rows of each source, held as tensors: no decoding and no copy from disk while training.

    An epoch shows each picture of the first source once; the others have their share of every batch by their sizes,
    drawn with replacement. Several GPUs share each batch: of every `world` rows in it, rank r gets the r-th. So a
    config means the same steps on one GPU and on several.

    Args:
        sources: what is trained on.
        size: pictures in a batch, over all ranks together.
        seed: of the order, with `epoch`.
        rank: which share of each batch is ours.
        world: how many share it; the rows of a batch that do not go round are left out.
    """

    def __init__(self, sources: Sequence[Source], size: int, seed: int, rank: int = 0, world: int = 1) -> None:
        self.sources, self.seed, self.rank, self.world = sources, seed, rank, world
        self.epoch = 0  # to be set before each
        total = sum(map(len, sources))
        self.sizes = [max(1, round(size * len(source) / total)) for source in sources]
        self.sizes[0] = max(1, size - sum(self.sizes[1:]))

    def __len__(self) -> int:
        # A last batch that is nearly empty would spoil the batch norm's statistics: it is left out.
        return max(1, len(self.sources[0]) // self.sizes[0])

    def __iter__(self) -> Iterator[list[Source]]:
        random = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        order = torch.randperm(len(self.sources[0]), generator=random)
        for first in torch.split(order, self.sizes[0])[: len(self)]:
            batch = [(self.sources[0], first)]
            for source, size in zip(self.sources[1:], self.sizes[1:], strict=True):
                draws = torch.ones(len(source)) if source.draws is None else source.draws.cpu()
                batch.append((source, torch.multinomial(draws, size, replacement=True, generator=random)))
            yield [source.subset(self._share(rows).to(source.images.device)) for source, rows in batch]

    def _share(self, rows: Tensor) -> Tensor:
        return rows[: len(rows) - len(rows) % self.world][self.rank :: self.world]


@torch.inference_mode()
def judge(network: FaceNetwork, images: NDArray[np.uint8]) -> Judgement:
    """What a network in evaluation mode makes of images uint8 [N, 48, 48], on the CPU."""
    device = next(network.parameters()).device
    judged = [network.judge(network.prepare(batch.to(device))) for batch in torch.split(torch.from_numpy(images), 256)]
    return Judgement(*(torch.cat(parts).float().cpu() for parts in zip(*judged, strict=True)))
