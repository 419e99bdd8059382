"""Testing a recipe for voices on clips that its networks were not trained on: in folds of actors, or of clips."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from emopipe.models.speech.features import MfccSpec
from emopipe.models.speech.networks import SpeechNetwork
from emopipe.models.speech.speaker import SpeakerStatistics
from emopipe.models.speech.temperature import Knot
from emopipe.training.evaluation.results import Evaluation
from emopipe.training.speech import ravdess
from emopipe.training.speech.ravdess import Clip, Corpus
from emopipe.training.speech.scoring import ScoredClips, answers, concatenate, group_figures, score_clips
from emopipe.training.speech.speakers import calibrate_speakers

CALIBRATION_CLIPS = (1, 2, 4, 8, 20, 60)
"""After how many other clips of an actor speaker calibration is tested; the last means all of them."""

RANDOM_FOLD_COUNT = 5


@dataclass(frozen=True)
class Fold:
    """A fold: the clips (indices into a corpus) to test on what was trained on the others."""

    name: str
    tested: tuple[int, ...]
    seed: int


def actor_folds(corpus: Corpus, seeds: Sequence[int]) -> list[Fold]:
    """The usual folds of whole actors, once for each seed.

    Raises:
        DataError: there are actors of one fold alone.
    """
    folds = ravdess.folds(corpus.actors)
    return [
        Fold(
            _name("fold", number, seed, seeds),
            tuple(index for index, clip in enumerate(corpus.clips) if clip.name.actor in actors),
            seed,
        )
        for seed in seeds
        for number, actors in enumerate(folds)
    ]


def random_folds(corpus: Corpus, seeds: Sequence[int]) -> list[Fold]:
    """Five folds of clips at random: everybody who is tested on was trained on, which flatters every figure."""
    order = np.random.default_rng(0).permutation(len(corpus.clips))
    count = min(RANDOM_FOLD_COUNT, len(order))
    return [
        Fold(_name("random", number, seed, seeds), tuple(sorted(order[number::count].tolist())), seed)
        for seed in seeds
        for number in range(count)
    ]


@dataclass(frozen=True)
class CalibrationScores:
    """A network's scores of clips as of strangers, and calibrated by so many other clips of their actors."""

    strict: ScoredClips
    calibrated: Mapping[int, ScoredClips]


def score_with_calibration(
    network: SpeechNetwork, clips: Sequence[Clip], spec: MfccSpec, prior: SpeakerStatistics
) -> CalibrationScores:
    """Score clips as they are, and calibrated by k of their actor's others for each k in `CALIBRATION_CLIPS`.

    Windows are scored for the first and the last of these alone.
    """
    calibrated = {}
    for count in CALIBRATION_CLIPS:
        normalised = calibrate_speakers(clips, prior, count)
        calibrated[count] = score_clips(network, normalised, spec, windows=count == CALIBRATION_CLIPS[-1])
    return CalibrationScores(score_clips(network, clips, spec), calibrated)


@dataclass(frozen=True)
class CrossValidation:
    """The scores of all clips by the folds' networks, none by one that was trained on it.

    `index` [clips] says in which fold each was tested; folds that differ in their seed alone share a number.
    """

    scored: ScoredClips
    calibrated: Mapping[int, ScoredClips]
    index: Tensor
    groups: Tensor

    @classmethod
    def of(cls, folds: Sequence[Fold], parts: Sequence[CalibrationScores]) -> "CrossValidation":
        names = list(dict.fromkeys(fold.tested for fold in folds))
        sizes = torch.tensor([len(part.strict.names) for part in parts])
        return cls(
            concatenate([part.strict for part in parts]),
            {count: concatenate([part.calibrated[count] for part in parts]) for count in CALIBRATION_CLIPS},
            torch.arange(len(folds)).repeat_interleave(sizes),
            torch.tensor([names.index(fold.tested) for fold in folds]).repeat_interleave(sizes),
        )

    def temperatures(self) -> list[Knot]:
        """The temperatures that fit all folds together: the ones to ship."""
        return self.scored.temperatures()

    def temperatures_by_fold(self) -> list[list[Knot]]:
        """The temperatures of each fold, fitted on the answers of the others."""
        found = {
            group: self.scored.of(self.groups != group).temperatures() for group in sorted(set(self.groups.tolist()))
        }
        firsts = [int(self.groups[self.index == fold][0]) for fold in range(int(self.index.max()) + 1)]
        return [found[group] for group in firsts]

    def evaluation(self, notes: Sequence[str] = ()) -> Evaluation:
        """Whole clips first, then windows, and both after speaker calibration by all other clips of the actor."""
        temperatures = self.temperatures_by_fold()
        clips, windows = answers(self.scored, temperatures, self.index)
        calibrated, calibrated_windows = answers(self.calibrated[CALIBRATION_CLIPS[-1]], temperatures, self.index)
        return Evaluation(
            {"clips": clips, "windows": windows, "calibrated": calibrated, "calibrated_windows": calibrated_windows},
            group_figures(self.scored) | calibration_figures(self.scored, self.calibrated),
            list(notes),
        )


def calibration_figures(strict: ScoredClips, calibrated: Mapping[int, ScoredClips]) -> dict[str, float]:
    """Accuracy and UAR of whole clips after k other clips of the speaker, by k; 0 is a stranger."""
    result: dict[str, float] = {}
    for count, scored in {0: strict, **calibrated}.items():
        clips = answers(scored, [[(1.0, 1.0)]])[0].figures()
        result |= {f"{figure}_after_{count}_clips": clips[figure] for figure in ("accuracy", "uar")}
    return result


Fit = Callable[[Fold], tuple[SpeechNetwork, SpeakerStatistics]]


def cross_validate(corpus: Corpus, spec: MfccSpec, folds: Sequence[Fold], fit: Fit) -> CrossValidation:
    """Test on each fold what `fit` has trained on the others."""
    parts = []
    for number, fold in enumerate(folds, 1):
        network, prior = fit(fold)
        clips = [corpus.clips[index] for index in fold.tested]
        parts.append(score_with_calibration(network, clips, spec, prior))
        found = calibration_figures(
            parts[-1].strict, {CALIBRATION_CLIPS[-1]: parts[-1].calibrated[CALIBRATION_CLIPS[-1]]}
        )
        print(
            f"{fold.name} ({number}/{len(folds)}): {len(clips)} clips · uar {found['uar_after_0_clips']:.3f} · "
            f"speaker-calibrated {found[f'uar_after_{CALIBRATION_CLIPS[-1]}_clips']:.3f}",
            flush=True,
        )
    return CrossValidation.of(folds, parts)


def save_logits(path: Path, result: CrossValidation) -> None:
    """Keep the out-of-fold logits of clips and windows as safetensors, with the clips' codes as `names` [clips, 7]."""
    scored = result.scored
    codes = [[getattr(name, field) for field in name.__struct_fields__] for name in scored.names]
    save_file(
        {
            "names": torch.tensor(codes),
            "clips": scored.clip_logits.contiguous(),
            "clip_frames": scored.clip_frames,
            "calibrated": result.calibrated[CALIBRATION_CLIPS[-1]].clip_logits.contiguous(),
            "windows": scored.window_logits.contiguous(),
            "owners": scored.owners,
            "frames": scored.frames,
            "folds": result.index,
        },
        path,
    )


def _name(kind: str, number: int, seed: int, seeds: Sequence[int]) -> str:
    return f"{kind}-{number + 1}" + (f"-seed-{seed}" if len(seeds) > 1 else "")
