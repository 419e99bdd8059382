"""Out-of-fold answers: those of voice networks about people they were not trained on, all that fusion may learn from.

Of voices that it was trained on, a network is surer, and righter, than it will ever be again; a fusion that learned
from such answers would believe the voice too much.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from emopipe.models import checkpoint
from emopipe.models.calibration import Doubles
from emopipe.models.fusion.model import SpeechObservation, timbre
from emopipe.models.speech.embedding import seconds_of
from emopipe.models.speech.features import Floats
from emopipe.models.speech.files import SHIPPED
from emopipe.models.speech.heads import ABOUT
from emopipe.models.speech.model import SpeechModel
from emopipe.pipeline.errors import DataError
from emopipe.pipeline.files import replacing
from emopipe.training.speech.clips import Clip, Halves
from emopipe.training.speech.ravdess import FOLDS
from emopipe.training.speech.ravdess import speaker as of_actor
from emopipe.training.speech.speakers import calibrate_in_order

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

    def of(self, clips: Sequence[Clip], weights: Path | None, calibrated: bool = False) -> list[SpeechAnswers]:
        """What one network (by default the shipped one) says of `clips`; of voices that it gets to know clip by clip if
        they are to be `calibrated`."""
        path = weights or SHIPPED
        model = SpeechModel.load(path, "cpu")
        rows = [clip.rows(type(model.spec)) for clip in clips]
        if calibrated:
            rows = calibrate_in_order([clip.name for clip in clips], rows, model.speaker())
        answers = iter(self._answers(model, path, [row for each in rows for row in each]))
        found = []
        for clip, each in zip(clips, rows, strict=True):
            spans = [clip.speech, *clip.windows]
            whole, *windows = [
                SpeechObservation(0.0, seconds_of(row), next(answers), timbre(clip.mfcc[first:end]))
                for row, (first, end) in zip(each, spans, strict=True)
            ]
            found.append(SpeechAnswers(whole, windows, [end * _FRAME_HOP_S for _, end in clip.windows]))
        return found

    def out_of_fold(self, clips: Sequence[Clip], folder: Path, calibrated: bool = False) -> list[SpeechAnswers]:
        """What is said of each clip by a network in `folder` (fold-*/*.safetensors) not trained on its speaker.

        Raises:
            DataError: every network there was trained on some speaker.
        """
        speakers = sorted({clip.name.speaker for clip in clips})
        chosen = {speaker: checkpoint_without(speaker, folder) for speaker in speakers}
        voices: dict[int, SpeechAnswers] = {}
        for path in dict.fromkeys(chosen.values()):
            places = [place for place, clip in enumerate(clips) if chosen[clip.name.speaker] == path]
            voices |= zip(places, self.of([clips[place] for place in places], path, calibrated), strict=True)
        return [voices[place] for place in range(len(clips))]

    def _answers(self, model: SpeechModel, path: Path, rows: Sequence[Floats]) -> Doubles:
        """Calibrated distributions [N, 8]; kept are the logits, which a new calibration leaves as they are."""
        state, card = checkpoint.load_arrays(path, "speech")
        digest = hashlib.sha256(repr((card.network, card.options)).encode())
        for name in sorted(state):
            digest.update(name.encode() + state[name].tobytes())
        for row in rows:
            digest.update(row.tobytes() + bytes([0]))
        kept = self._cache / f"voices-{digest.hexdigest()[:32]}.npy"
        if not kept.is_file():
            self._cache.mkdir(parents=True, exist_ok=True)
            with replacing(kept) as partial, partial.open("wb") as file:
                np.save(file, model.logits(rows))
        return model.calibrated(np.load(kept, allow_pickle=False), rows).astype(np.float64)


def checkpoint_without(speaker: str, folder: Path) -> Path:
    """The network in `folder` that was not trained on `speaker`, nor on more of the speaker's fold than another one.

    Raises:
        DataError: there is none.
    """
    folds = [[of_actor(actor) for actor in fold] for fold in FOLDS]
    mates = next((fold for fold in folds if speaker in fold), [speaker])
    known: dict[Path, int] = {}
    for path, trained_on in _trained_on(folder).items():
        if speaker not in trained_on:
            known[path] = sum(mate in trained_on for mate in mates)
    if not known:
        raise DataError(f"{folder}: no network for voices that was not trained on {speaker}; train them first")
    return min(known, key=lambda path: (known[path], path))


def checkpoint_without_corpus(corpus: str, folder: Path) -> Path | None:
    """The network in `folder` that was trained on nobody of `corpus`; None if there is none."""
    for path, trained_on in _trained_on(folder).items():
        if not any(speaker.startswith(f"{corpus}/") for speaker in trained_on):
            return path
    return None


def _trained_on(folder: Path) -> dict[Path, list[str]]:
    cards = {path: checkpoint.load_arrays(path, "speech")[1] for path in fold_checkpoints(folder)}
    return {path: card.config["trained_on"] for path, card in cards.items() if "trained_on" in card.config}


def fold_checkpoints(folder: Path) -> list[Path]:
    """The folds' networks in a folder of a voice training."""
    return sorted(folder.glob("fold-*/*.safetensors"))


def add_noise(clips: Sequence[Clip], seed: int = 0) -> list[Clip]:
    """The clips with Gaussian noise on their MFCC, in each coefficient as strong as it varies over the clip, and on
    their vectors, half as strong as each number varies over the clips."""
    random = np.random.default_rng(seed)
    rows = np.concatenate([clip.vectors for clip in clips]).astype(np.float64)
    spread = rows.std(0) / 2 if rows.size else rows
    return [_with_noise(clip, spread, random) for clip in clips]


def _with_noise(clip: Clip, spread: Doubles, random: np.random.Generator) -> Clip:
    noise = random.normal(0, 1, clip.mfcc.shape) * clip.mfcc.std(0)
    vectors: Halves = clip.vectors
    if vectors.size:
        moved = random.normal(0, 1, vectors.shape) * spread
        moved[:, :ABOUT] = 0
        vectors = (vectors + moved).astype(np.float16)
    return msgspec.structs.replace(clip, mfcc=(clip.mfcc + noise).astype(np.float32), vectors=vectors)
