"""Out-of-fold answers: those of voice networks about people they were not trained on, all that fusion may learn from.

Of voices that it was trained on, a network is surer, and righter, than it will ever be again; a fusion that learned
from such answers would believe the voice too much.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from emopipe.models import checkpoint
from emopipe.models.calibration import Doubles
from emopipe.models.fusion.model import SpeechObservation, timbre
from emopipe.models.speech.features import Floats
from emopipe.models.speech.model import SpeechModel
from emopipe.pipeline.errors import DataError
from emopipe.pipeline.files import replacing
from emopipe.training.speech.ravdess import FOLDS, Clip

_FRAME_HOP_S = 0.01  # s


class SpeechAnswers(NamedTuple):
    """A network's answers about one clip: its whole speech, and each window that a stream would cut from it.

    `age` in either counts from 0: the windows' own ends (s from the clip's beginning) are `ends`.
    """

    whole: SpeechObservation
    windows: list[SpeechObservation]
    ends: list[float]

    def at(self, time: float) -> list[SpeechObservation]:
        """The windows that had ended at `time` (s)."""
        heard = zip(self.windows, self.ends, strict=True)
        return [window._replace(age=time - end) for window, end in heard if end <= time]


class SpeechAnswerCache:
    """Answers of trained networks about clips, kept in `cache` by the networks' and the sounds' checksums."""

    def __init__(self, cache: Path) -> None:
        self._cache = cache

    def of(self, clips: Sequence[Clip], weights: Path | None) -> list[SpeechAnswers]:
        """The answers of one network (by default the shipped one) about `clips`."""
        path = weights or checkpoint.WEIGHTS_DIR / "speech.safetensors"
        whole = [clip.mfcc[slice(*clip.speech)] for clip in clips]
        windows = [clip.mfcc[first:end] for clip in clips for first, end in clip.windows]
        answers = iter(self._answers(path, [*whole, *windows]))
        of_whole = [_observation(mfcc, next(answers)) for mfcc in whole]
        voices = []
        for clip, observation in zip(clips, of_whole, strict=True):
            heard = [_observation(clip.mfcc[first:end], next(answers)) for first, end in clip.windows]
            voices.append(SpeechAnswers(observation, heard, [end * _FRAME_HOP_S for _, end in clip.windows]))
        return voices

    def out_of_fold(self, clips: Sequence[Clip], folder: Path) -> list[SpeechAnswers]:
        """The answers about each clip of a network in `folder` (fold-*/*.safetensors) not trained on its actor.

        Raises:
            DataError: every network there was trained on some actor.
        """
        chosen = {actor: checkpoint_without(actor, folder) for actor in sorted({clip.name.actor for clip in clips})}
        voices: dict[int, SpeechAnswers] = {}
        for path in dict.fromkeys(chosen.values()):
            places = [place for place, clip in enumerate(clips) if chosen[clip.name.actor] == path]
            voices |= zip(places, self.of([clips[place] for place in places], path), strict=True)
        return [voices[place] for place in range(len(clips))]

    def _answers(self, weights: Path, windows: Sequence[Floats]) -> Doubles:
        """Calibrated distributions [N, 8]; kept are the logits, which a new calibration leaves as they are."""
        state, card = checkpoint.load_arrays(weights, "speech")
        digest = hashlib.sha256(repr((card.network, card.options)).encode())
        for name in sorted(state):
            digest.update(name.encode() + state[name].tobytes())
        for window in windows:
            digest.update(window.tobytes() + bytes([0]))
        path = self._cache / f"voices-{digest.hexdigest()[:32]}.npy"
        model = SpeechModel.load(weights, "cpu")
        if not path.is_file():
            self._cache.mkdir(parents=True, exist_ok=True)
            with replacing(path) as partial, partial.open("wb") as file:
                np.save(file, model.logits(windows).numpy())
        return model.calibrated(torch.from_numpy(np.load(path)), windows).astype(np.float64)


def checkpoint_without(actor: int, folder: Path) -> Path:
    """The network in `folder` that was not trained on `actor`, nor on more of the actor's fold than another one.

    Raises:
        DataError: there is none.
    """
    mates = next((fold for fold in FOLDS if actor in fold), (actor,))
    known: dict[Path, int] = {}
    for path in fold_checkpoints(folder):
        trained_on = checkpoint.load_arrays(path, "speech")[1].config.get("trained_on", [actor])
        if actor not in trained_on:
            known[path] = sum(mate in trained_on for mate in mates)
    if not known:
        raise DataError(f"{folder}: no network for voices that was not trained on actor {actor}; train them first")
    return min(known, key=lambda path: (known[path], path))


def fold_checkpoints(folder: Path) -> list[Path]:
    """The folds' networks in a folder of a voice training."""
    return sorted(folder.glob("fold-*/*.safetensors"))


def _observation(mfcc: Floats, probabilities: Doubles) -> SpeechObservation:
    return SpeechObservation(0.0, len(mfcc) * _FRAME_HOP_S, probabilities, timbre(mfcc))


def add_noise(clips: Sequence[Clip], seed: int = 0) -> list[Clip]:
    """The clips with Gaussian noise on their MFCC, in each coefficient as strong as it varies over the clip."""
    random = np.random.default_rng(seed)
    return [_with_noise(clip, random) for clip in clips]


def _with_noise(clip: Clip, random: np.random.Generator) -> Clip:
    noise = random.normal(0, 1, clip.mfcc.shape) * clip.mfcc.std(0)
    return Clip(clip.name, (clip.mfcc + noise).astype(np.float32), clip.windows, clip.speech)
