"""What a network makes of clips: whole, and in the windows that a stream would give it; and how right it is."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.features import MfccSpec
from models.labels import SPEECH
from models.speech import logits_of
from training import metrics
from training.ravdess import Clip, Name

_SECOND = 98  # whole frames of 25 ms, every 10 ms


@dataclass(frozen=True)
class Heard:
    """Logits of each clip's whole speech [clips, classes], and of each of its windows [windows, classes].

    `owners` says which clip a window is of, `frames` how long it is.
    """

    names: list[Name]
    clip_logits: Tensor
    window_logits: Tensor
    owners: Tensor
    frames: Tensor

    @property
    def clip_targets(self) -> Tensor:
        return torch.tensor([name.label for name in self.names])

    @property
    def window_targets(self) -> Tensor:
        return self.clip_targets[self.owners]

    def of(self, keep: Sequence[bool]) -> "Heard":
        """The clips for which `keep` is true."""
        chosen = torch.tensor(list(keep))
        number = torch.cumsum(chosen, 0) - 1
        windows = chosen[self.owners]
        names = [name for name, kept in zip(self.names, keep, strict=True) if kept]
        return Heard(
            names,
            self.clip_logits[chosen],
            self.window_logits[windows],
            number[self.owners[windows]],
            self.frames[windows],
        )


def hear(network: nn.Module, clips: Sequence[Clip], spec: MfccSpec) -> Heard:
    """Run a network, in evaluation mode, over clips."""
    windows = [clip.mfcc[first:end] for clip in clips for first, end in clip.windows]
    owners = [index for index, clip in enumerate(clips) for _ in clip.windows]
    whole = [clip.mfcc[slice(*clip.speech)] for clip in clips]
    return Heard(
        [clip.name for clip in clips],
        logits_of(network, whole, spec),
        logits_of(network, windows, spec) if windows else torch.empty(0, len(SPEECH)),
        torch.tensor(owners, dtype=torch.long),
        torch.tensor([len(window) for window in windows], dtype=torch.long),
    )


def join(parts: Sequence[Heard]) -> Heard:
    """Several as one."""
    offsets = [sum(len(part.names) for part in parts[:index]) for index in range(len(parts))]
    return Heard(
        [name for part in parts for name in part.names],
        torch.cat([part.clip_logits for part in parts]),
        torch.cat([part.window_logits for part in parts]),
        torch.cat([part.owners + offset for part, offset in zip(parts, offsets, strict=True)]),
        torch.cat([part.frames for part in parts]),
    )


def figures(heard: Heard, temperature: float) -> dict[str, float]:
    """How right whole clips are, and single windows (`window_…`): see `metrics.summarise`; and UAR by group.

    The groups are the clips of either sex and of either intensity, and the windows that last under a second, under two
    seconds, and longer. `unheard` is the number of clips in which the detector heard no speech: a stream says
    nothing of them.
    """
    clips, windows = heard.clip_targets, heard.window_targets
    result = metrics.summarise(heard.clip_logits, clips, SPEECH, temperature)
    if len(heard.owners):
        of_windows = metrics.summarise(heard.window_logits, windows, SPEECH, temperature)
        result |= {f"window_{name}": value for name, value in of_windows.items() if name != "temperature"}
    result["unheard"] = float(len(heard.names) - len(set(heard.owners.tolist())))
    female = torch.tensor([name.sex == "female" for name in heard.names])
    strong = torch.tensor([name.intensity == 2 for name in heard.names])
    for group, of in {"female": female, "male": ~female, "normal": ~strong, "strong": strong}.items():
        result |= _uar(f"uar_{group}", heard.clip_logits[of], clips[of])
    short, long = heard.frames < _SECOND, heard.frames >= 2 * _SECOND
    for group, of in {"under_1s": short, "1_to_2s": ~short & ~long, "over_2s": long}.items():
        result |= _uar(f"window_uar_{group}", heard.window_logits[of], windows[of])
    return result


def _uar(name: str, logits: Tensor, targets: Tensor) -> dict[str, float]:
    return {name: metrics.summarise(logits, targets, SPEECH, 1.0)["uar"]} if len(targets) else {}


def mean_and_sd(folds: Sequence[dict[str, float]]) -> dict[str, float]:
    """Mean over the folds of every figure that all of them have, its standard deviation as `…_sd`; counts add up."""
    counts = ("n", "window_n", "unheard")
    result: dict[str, float] = {}
    for name in folds[0]:
        values = [fold[name] for fold in folds if name in fold]
        if len(values) == len(folds):
            result[name] = sum(values) if name in counts else statistics.fmean(values)
            if name not in counts:
                result[f"{name}_sd"] = statistics.stdev(values) if len(values) > 1 else 0.0
    return result
