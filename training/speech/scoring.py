"""Scoring of clips by a network: whole, and in the windows that a stream would give it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from emopipe.models.calibration import Selection, threshold
from emopipe.models.labels import SPEECH
from emopipe.models.speech.model import Network, Spec, compute_outputs, context_of
from emopipe.models.speech.temperature import Context, Temperature
from emopipe.pipeline.errors import ModelError
from emopipe.training.evaluation import metrics
from emopipe.training.evaluation.results import Answers
from emopipe.training.speech.clips import Name
from emopipe.training.speech.layouts import WITH_CALM
from emopipe.training.speech.speakers import Rows

SHARED = ("neutral", "happy", "sad", "angry", "fearful", "disgust", "surprised")
"""The labels in which clips are scored that are not all of a corpus with *calm*, which then counts as neutral."""

RISK = 0.3
"""The share of wrong answers at which `answered` and `answered_error` are given."""


@dataclass(frozen=True)
class ScoredClips:
    """Logits of each clip's whole speech [clips, classes], and of each of its windows [windows, classes].

    `clip_context` and `context` say what else is known of each, `owners` which clip a window is of, and
    `shared` [clips] whether calm and neutral are one for it: few corpora tell them apart.
    """

    names: list[Name]
    clip_logits: Tensor
    clip_context: Context
    window_logits: Tensor
    owners: Tensor
    context: Context
    shared: Tensor

    @property
    def clip_targets(self) -> Tensor:
        return torch.tensor([name.label for name in self.names])

    @property
    def window_targets(self) -> Tensor:
        return self.clip_targets[self.owners]

    @property
    def speakers(self) -> Tensor:
        """Who speaks in each clip, as numbers in the order of the names."""
        numbers = {speaker: number for number, speaker in enumerate(sorted({name.speaker for name in self.names}))}
        return torch.tensor([numbers[name.speaker] for name in self.names])

    def of(self, keep: Sequence[bool] | Tensor) -> "ScoredClips":
        """The clips for which `keep` is true."""
        chosen = torch.as_tensor(keep, dtype=torch.bool)
        number = torch.cumsum(chosen, 0) - 1
        windows = chosen[self.owners]
        names = [name for name, kept in zip(self.names, chosen.tolist(), strict=True) if kept]
        return ScoredClips(
            names,
            self.clip_logits[chosen],
            Context(*(part[chosen.numpy()] for part in self.clip_context)),
            self.window_logits[windows],
            number[self.owners[windows]],
            Context(*(part[windows.numpy()] for part in self.context)),
            self.shared[chosen],
        )


def score_rows(
    network: Network, names: Sequence[Name], clips: Sequence[Rows], spec: Spec, calm: bool = True
) -> ScoredClips:
    """Run a network, in evaluation mode, over the rows of clips; `calm` says whether it was taught what that is."""
    whole = [rows[0] for rows in clips]
    cut = [row for rows in clips for row in rows[1:]]
    return ScoredClips(
        list(names),
        torch.from_numpy(compute_outputs(network, whole, spec).logits),
        context_of(network, whole),
        torch.from_numpy(compute_outputs(network, cut, spec).logits) if cut else torch.empty(0, len(SPEECH)),
        torch.tensor([index for index, rows in enumerate(clips) for _ in rows[1:]], dtype=torch.long),
        context_of(network, cut),
        torch.tensor([not calm or name.corpus not in WITH_CALM for name in names]),
    )


def concatenate(parts: Sequence[ScoredClips]) -> ScoredClips:
    """Several as one."""
    offsets = [sum(len(part.names) for part in parts[:index]) for index in range(len(parts))]
    return ScoredClips(
        [name for part in parts for name in part.names],
        torch.cat([part.clip_logits for part in parts]),
        _joined([part.clip_context for part in parts]),
        torch.cat([part.window_logits for part in parts]),
        torch.cat([part.owners + offset for part, offset in zip(parts, offsets, strict=True)]),
        _joined([part.context for part in parts]),
        torch.cat([part.shared for part in parts]),
    )


def _joined(parts: Sequence[Context]) -> Context:
    return Context(*(np.concatenate(each) for each in zip(*parts, strict=True)))


def answers(
    scored: ScoredClips, temperatures: Sequence[Temperature], folds: Tensor | None = None
) -> tuple[Answers, Answers]:
    """What was said of whole clips, and of windows; in the `SHARED` labels unless every clip may be calm.

    Args:
        temperatures: of each fold, or of all as the only one.
        folds: [clips] in which fold each was tested.
    """
    index = folds if folds is not None else torch.zeros(len(scored.names), dtype=torch.long)
    of, shared = scored.owners, bool(scored.shared.any())

    def answered(logits: Tensor, targets: Tensor, context: Context, fold: Tensor, rows: Tensor) -> Answers:
        each = torch.stack([torch.from_numpy(temperature.at(context)) for temperature in temperatures])
        scale = each[fold, torch.arange(len(fold))]
        tested = None if folds is None else folds[rows]
        if not shared:
            return Answers(logits, targets, SPEECH, scale, scored.speakers[rows], tested)
        joined = shared_logits(logits, scale)
        return Answers(joined, shared_targets(targets), SHARED, 1.0, scored.speakers[rows], tested)

    clips = answered(scored.clip_logits, scored.clip_targets, scored.clip_context, index, torch.arange(len(index)))
    windows = answered(scored.window_logits, scored.window_targets, scored.context, index[of], of)
    return clips, windows


def least_confidence(selections: Sequence[Selection]) -> float:
    """The confidence below which an answer is uncertain at `RISK`; infinite where no risk as low can be promised."""
    try:
        return threshold(selections, RISK)
    except ModelError:
        return math.inf


def answered_figures(said: Answers, least: ArrayLike) -> dict[str, float]:
    """How many of the answers have at least this confidence, one for all or [N], and how many of those are wrong."""
    confidence, label = (values.numpy() for values in said.probabilities().max(dim=1))
    given = confidence >= np.asarray(least)
    figures = {"answered": float(given.mean())}
    if given.any():
        figures["answered_error"] = float((label != said.targets.numpy())[given].mean())
    return figures


def shared_logits(logits: Tensor, temperature: Tensor) -> Tensor:
    """The logarithms of calibrated probabilities [N, 8] over `labels.SPEECH`, as [N, 7] over `SHARED`."""
    logs = metrics.calibrate(logits, temperature).log_softmax(dim=1)
    neutral = logs[:, [SPEECH.index("neutral"), SPEECH.index("calm")]].logsumexp(dim=1, keepdim=True)
    return torch.cat([neutral, logs[:, [SPEECH.index(label) for label in SHARED[1:]]]], dim=1)


def shared_targets(targets: Tensor) -> Tensor:
    """Indices into `labels.SPEECH` as indices into `SHARED`."""
    places = [SHARED.index("neutral" if label == "calm" else label) for label in SPEECH]
    return torch.tensor(places)[targets]


def group_figures(scored: ScoredClips, temperatures: Sequence[Temperature], folds: Tensor | None) -> dict[str, float]:
    """UAR of whole clips by corpus, by sex and by intensity, and of windows by length.

    The windows last under a second, under two seconds, or longer. `unheard` is the number of clips in which the
    detector heard no speech: a stream says nothing of them.
    """
    result = {"unheard": float(len(scored.names) - len(set(scored.owners.tolist())))}
    corpora = sorted({name.corpus for name in scored.names})
    if len(corpora) > 1:
        for corpus in corpora:
            of = torch.tensor([name.corpus == corpus for name in scored.names])
            clips, windows = answers(scored.of(of), temperatures, None if folds is None else folds[of])
            figures = clips.figures()
            result |= {f"{figure}_{corpus}": figures[figure] for figure in ("n", "uar", "accuracy", "ece")}
            result |= {f"windows_uar_{corpus}": windows.figures()["uar"]} if len(windows.targets) else {}
    clips, windows = answers(scored, temperatures, folds)
    groups = {sex: [name.sex == sex for name in scored.names] for sex in ("female", "male")}
    levels = {"normal": ("01", "lo", "md"), "strong": ("02", "hi")}  # of RAVDESS, of CREMA-D
    groups |= {level: [name.intensity in codes for name in scored.names] for level, codes in levels.items()}
    for group, members in groups.items():
        result |= _uar(f"uar_{group}", clips, torch.tensor(members, dtype=torch.bool))
    seconds = torch.from_numpy(scored.context.seconds)
    short, long = seconds < 1.0, seconds >= 2.0
    for group, of in {"under_1s": short, "1_to_2s": ~short & ~long, "over_2s": long}.items():
        result |= _uar(f"windows_uar_{group}", windows, of)
    return result


def _uar(name: str, answered: Answers, of: Tensor) -> dict[str, float]:
    return {name: answered.of(of).figures()["uar"]} if bool(of.any()) else {}
