"""Scoring of clips by a network: whole, and in the windows that a stream would give it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from emopipe.models.labels import SPEECH
from emopipe.models.speech.features import MfccSpec
from emopipe.models.speech.model import compute_outputs
from emopipe.models.speech.networks import SpeechNetwork
from emopipe.models.speech.temperature import Knot, temperature_at
from emopipe.training.evaluation import metrics
from emopipe.training.evaluation.results import Answers
from emopipe.training.speech.ravdess import Clip, Name
from emopipe.training.speech.temperature import fit_temperatures

FRAME_HOP_S = 0.01
"""Seconds from one frame to the next."""


@dataclass(frozen=True)
class ScoredClips:
    """Logits of each clip's whole speech [clips, classes], and of each of its windows [windows, classes].

    `clip_frames` and `frames` say how long each is, `owners` which clip a window is of.
    """

    names: list[Name]
    clip_logits: Tensor
    clip_frames: Tensor
    window_logits: Tensor
    owners: Tensor
    frames: Tensor

    @property
    def clip_targets(self) -> Tensor:
        return torch.tensor([name.label for name in self.names])

    @property
    def window_targets(self) -> Tensor:
        return self.clip_targets[self.owners]

    @property
    def actors(self) -> Tensor:
        return torch.tensor([name.actor for name in self.names])

    def of(self, keep: Sequence[bool] | Tensor) -> "ScoredClips":
        """The clips for which `keep` is true."""
        chosen = torch.as_tensor(keep, dtype=torch.bool)
        number = torch.cumsum(chosen, 0) - 1
        windows = chosen[self.owners]
        names = [name for name, kept in zip(self.names, chosen.tolist(), strict=True) if kept]
        return ScoredClips(
            names,
            self.clip_logits[chosen],
            self.clip_frames[chosen],
            self.window_logits[windows],
            number[self.owners[windows]],
            self.frames[windows],
        )

    def temperatures(self) -> list[Knot]:
        """Fit temperatures to clips and windows together, by length, but none below what fits whole clips alone.

        There are five times as many windows as clips, and the longest ones come from the end of long clips: by them
        alone, whole clips would be believed too much (an ECE of 4.4 instead of 3.7 %, on folds that were left out).
        """
        logits = torch.cat([self.clip_logits, self.window_logits])
        frames = torch.cat([self.clip_frames, self.frames])
        found = fit_temperatures(logits, torch.cat([self.clip_targets, self.window_targets]), frames * FRAME_HOP_S)
        whole = metrics.fit_temperature(self.clip_logits, self.clip_targets)
        return [(seconds, max(value, whole)) for seconds, value in found]


def score_clips(network: SpeechNetwork, clips: Sequence[Clip], spec: MfccSpec, windows: bool = True) -> ScoredClips:
    """Run a network, in evaluation mode, over clips, and over their windows unless they are not asked for."""
    cut = [clip.mfcc[first:end] for clip in clips for first, end in clip.windows] if windows else []
    owners = [index for index, clip in enumerate(clips) for _ in clip.windows] if windows else []
    whole = [clip.mfcc[slice(*clip.speech)] for clip in clips]
    return ScoredClips(
        [clip.name for clip in clips],
        compute_outputs(network, whole, spec).logits,
        torch.tensor([len(speech) for speech in whole]),
        compute_outputs(network, cut, spec).logits if cut else torch.empty(0, len(SPEECH)),
        torch.tensor(owners, dtype=torch.long),
        torch.tensor([len(window) for window in cut], dtype=torch.long),
    )


def concatenate(parts: Sequence[ScoredClips]) -> ScoredClips:
    """Several as one."""
    offsets = [sum(len(part.names) for part in parts[:index]) for index in range(len(parts))]
    return ScoredClips(
        [name for part in parts for name in part.names],
        torch.cat([part.clip_logits for part in parts]),
        torch.cat([part.clip_frames for part in parts]),
        torch.cat([part.window_logits for part in parts]),
        torch.cat([part.owners + offset for part, offset in zip(parts, offsets, strict=True)]),
        torch.cat([part.frames for part in parts]),
    )


def answers(
    scored: ScoredClips, temperatures: Sequence[Sequence[Knot]], folds: Tensor | None = None
) -> tuple[Answers, Answers]:
    """The answers about whole clips, and about windows.

    Args:
        temperatures: of each fold, or of all as the only one.
        folds: [clips] in which fold each was tested.
    """
    index = folds if folds is not None else torch.zeros(len(scored.names), dtype=torch.long)

    def scaled(frames: Tensor, fold: Tensor) -> Tensor:
        each = [torch.from_numpy(temperature_at(knots, (frames * FRAME_HOP_S).numpy())) for knots in temperatures]
        return torch.stack(each)[fold, torch.arange(len(fold))]

    of = scored.owners
    clips = Answers(
        scored.clip_logits, scored.clip_targets, SPEECH, scaled(scored.clip_frames, index), scored.actors, folds
    )
    windows = Answers(
        scored.window_logits,
        scored.window_targets,
        SPEECH,
        scaled(scored.frames, index[of]),
        scored.actors[of],
        None if folds is None else folds[of],
    )
    return clips, windows


def group_figures(scored: ScoredClips) -> dict[str, float]:
    """UAR of whole clips by sex and by intensity, and of windows by length.

    The windows last under a second, under two seconds, or longer. `unheard` is the number of clips in which the
    detector heard no speech: a stream says nothing of them.
    """
    clips, windows = scored.clip_targets, scored.window_targets
    female = torch.tensor([name.sex == "female" for name in scored.names])
    strong = torch.tensor([name.intensity == 2 for name in scored.names])
    result = {"unheard": float(len(scored.names) - len(set(scored.owners.tolist())))}
    for group, of in {"female": female, "male": ~female, "normal": ~strong, "strong": strong}.items():
        result |= _uar(f"uar_{group}", scored.clip_logits[of], clips[of])
    seconds = scored.frames * FRAME_HOP_S
    short, long = seconds < 0.98, seconds >= 1.96  # a second holds 98 whole frames
    for group, of in {"under_1s": short, "1_to_2s": ~short & ~long, "over_2s": long}.items():
        result |= _uar(f"windows_uar_{group}", scored.window_logits[of], windows[of])
    return result


def _uar(name: str, logits: Tensor, targets: Tensor) -> dict[str, float]:
    return {name: metrics.summarise(logits, targets, SPEECH, 1.0)["uar"]} if len(targets) else {}
