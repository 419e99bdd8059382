"""A new last layer on what a shipped network makes of faces or voices, for classes of any name.

The layer is a multinomial logistic regression, in which classes count alike; nothing in it depends on a schedule. It is
tested in folds of people, and then learns from all of them.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import msgspec
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from emopipe.fine_tuning.folds import divide
from emopipe.fine_tuning.labelled import Labelled
from emopipe.training.evaluation.metrics import fit_temperature
from emopipe.training.evaluation.results import Answers
from emopipe.training.trainer.settings import Positive


class Settings(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How a folder's classes are learnt."""

    seed: Annotated[int, msgspec.Meta(ge=0)] = 1  # of the folds
    folds: Annotated[int, msgspec.Meta(ge=2, le=20)] = 5  # of people; fewer where there are fewer people
    decay: Positive = 0.01  # of the last layer's weights, where an embedding has about the length 1


class Examples(NamedTuple):
    """What is learnt from.

    Attributes:
        files: of each example [N]; several may be of one file.
        embedded: float64 [N, D], of about the length 1.
        scale: float64 [N], what divides the logits beside the temperature: how much flatter the shipped weights are for
            such an example.
    """

    files: list[Labelled]
    embedded: Tensor
    scale: Tensor


class Learnt(NamedTuple):
    """A last layer, and how it does.

    Attributes:
        head: weights and, in the last row, the bias [D + 1, classes].
        answers: about each example, by what other people taught.
        temperature: of answers by the head, beside the examples' scale.
        tested_apart: who was tested in each fold; none where nobody is known.
    """

    head: Tensor
    answers: Answers
    temperature: float
    tested_apart: list[list[str]]


def learn(examples: Examples, labels: Sequence[str], settings: Settings) -> Learnt:
    """Test in folds of people, then learn from all."""
    files, embedded, scale = examples
    targets = torch.tensor([labels.index(each.label) for each in files])
    often = Counter(each.path for each in files)
    weights = torch.tensor([1 / often[each.path] for each in files], dtype=torch.float64)  # files count alike
    folds = torch.from_numpy(divide(files, settings.folds, settings.seed))
    every = range(int(folds.max()) + 1)

    def fit(keep: Tensor) -> Tensor:
        return fit_head(embedded[keep], targets[keep], len(labels), settings.decay, weights[keep])

    logits = torch.zeros(len(files), len(labels), dtype=torch.float64)
    for fold in every:
        head = fit(folds != fold)
        logits[folds == fold] = embedded[folds == fold] @ head[:-1] + head[-1]
    scaled = logits / scale[:, None]

    def temperature(keep: Tensor) -> float:
        # As if one more file were wrong: what few files show is no certainty.
        paths = {each.path for each, kept in zip(files, keep.tolist(), strict=True) if kept}
        return fit_temperature(scaled[keep], targets[keep], len(labels) / (len(labels) - 1) / (len(paths) + 2))

    each_fold = [temperature(folds != fold) for fold in every]
    answers = Answers(logits, targets, labels, scale * torch.tensor(each_fold)[folds], groups_of(files), folds)
    apart = [
        sorted({each.person for each, own in zip(files, folds.tolist(), strict=True) if own == fold}) for fold in every
    ]
    everybody = torch.ones(len(files), dtype=torch.bool)
    return Learnt(fit(everybody), answers, temperature(everybody), apart if files[0].person else [])


def groups_of(files: Sequence[Labelled]) -> Tensor | None:
    """What belongs together of examples of these files, [N]: a person's, else a file's; None if each stands alone."""
    names = [each.person or str(each.path) for each in files]
    places = {name: place for place, name in enumerate(sorted({*names}))}
    return torch.tensor([places[name] for name in names]) if files[0].person or len(places) < len(names) else None


def fit_head(embedded: Tensor, targets: Tensor, classes: int, decay: float, weights: Tensor | None = None) -> Tensor:
    """Weights of a logistic regression with a bias in the last row, [D + 1, classes], for embeddings [N, D], of which
    each counts as its `weights` [N] say."""
    head = torch.zeros(embedded.shape[1] + 1, classes, dtype=torch.float64, requires_grad=True)
    weights = torch.ones(len(targets), dtype=torch.float64) if weights is None else weights
    sums = torch.zeros(classes, dtype=torch.float64).index_add_(0, targets, weights)
    alike = weights / sums.clamp_min(1e-9)[targets]
    alike /= alike.sum()
    optimizer = torch.optim.LBFGS([head], max_iter=300, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = F.cross_entropy(embedded @ head[:-1] + head[-1], targets, reduction="none")
        loss = (losses * alike).sum() + decay * head[:-1].square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return head.detach()
