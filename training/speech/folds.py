"""Testing a recipe for voices on clips that its networks were not trained on: in folds of speakers, of corpora, or of
clips."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from emopipe.models.calibration import selective
from emopipe.models.speech.model import Network, Spec
from emopipe.models.speech.speaker import SpeakerStatistics
from emopipe.models.speech.temperature import Context, Temperature
from emopipe.pipeline.errors import DataError
from emopipe.training.evaluation.results import Answers, Evaluation
from emopipe.training.speech import ravdess
from emopipe.training.speech.clips import Clip, Corpus, Name
from emopipe.training.speech.scoring import (
    ScoredClips,
    answered_figures,
    answers,
    concatenate,
    group_figures,
    least_confidence,
    score_rows,
)
from emopipe.training.speech.speakers import Rows, calibrate_by_others, calibrate_in_order
from emopipe.training.speech.temperature import fit_temperature_of

CALIBRATION_CLIPS = (1, 2, 4, 8, 20, 60)
"""After how many other clips of a speaker calibration is tested; the last means all of them."""

FOLD_COUNT = 5
"""As many there are at most, of speakers or of random clips."""


@dataclass(frozen=True)
class Fold:
    """A fold: the clips (indices into a corpus) to test on what was trained on the others."""

    name: str
    tested: tuple[int, ...]
    seed: int


def speaker_folds(corpus: Corpus, seeds: Sequence[int]) -> list[Fold]:
    """Folds of whole speakers, once for each seed: RAVDESS's actors in the usual ones, other speakers in turn.

    Raises:
        DataError: there are RAVDESS's actors of one fold alone, or there is one speaker only.
    """
    actors = [speaker for speaker in corpus.speakers if speaker.startswith("ravdess/")]
    others = [speaker for speaker in corpus.speakers if speaker not in actors]
    if actors:
        folds = ravdess.folds(actors)
    elif len(others) > 1:
        folds = [()] * min(FOLD_COUNT, len(others))
    else:
        raise DataError(f"only {others[0]}: at least two speakers are needed to test on people not trained on")
    groups = [{*fold, *others[number :: len(folds)]} for number, fold in enumerate(folds)]
    return [
        Fold(_name("fold", str(number + 1), seed, seeds), _clips_of(corpus, speakers), seed)
        for seed in seeds
        for number, speakers in enumerate(groups)
    ]


def corpus_folds(corpus: Corpus, seeds: Sequence[int]) -> list[Fold]:
    """Each corpus left out in turn, once for each seed: the test that is most like meeting the world.

    Raises:
        DataError: there is one corpus only.
    """
    if len(corpus.corpora) < 2:
        raise DataError(f"only the corpus {corpus.corpora[0]}: give several (--data A B) to leave one out")
    return [
        Fold(
            _name("fold", f"without-{left_out}", seed, seeds),
            tuple(index for index, clip in enumerate(corpus.clips) if clip.name.corpus == left_out),
            seed,
        )
        for seed in seeds
        for left_out in corpus.corpora
    ]


def _clips_of(corpus: Corpus, speakers: Collection[str]) -> tuple[int, ...]:
    return tuple(index for index, clip in enumerate(corpus.clips) if clip.name.speaker in speakers)


def random_folds(corpus: Corpus, seeds: Sequence[int]) -> list[Fold]:
    """Five folds of clips at random: everybody who is tested on was trained on, which flatters every figure."""
    order = np.random.default_rng(0).permutation(len(corpus.clips))
    count = min(FOLD_COUNT, len(order))
    return [
        Fold(_name("random", str(number + 1), seed, seeds), tuple(sorted(order[number::count].tolist())), seed)
        for seed in seeds
        for number in range(count)
    ]


class Fitted(NamedTuple):
    """What was trained for a fold: a network, what it takes, the statistics of a speaker unknown to it, and whether it
    was taught what *calm* is."""

    network: Network
    spec: Spec
    speaker: SpeakerStatistics
    calm: bool = True


@dataclass(frozen=True)
class CalibrationScores:
    """What one network makes of clips: of strangers'; of the same in their order, each speaker's voice being learnt
    from clip to clip; and of whole clips after k others of their speaker, by k."""

    strict: ScoredClips
    calibrated: ScoredClips
    after: Mapping[int, ScoredClips]


def score_with_calibration(fitted: Fitted, clips: Sequence[Clip]) -> CalibrationScores:
    """Hear clips as they are, and with speaker calibration."""
    names = [clip.name for clip in clips]
    rows = [clip.rows(type(fitted.spec)) for clip in clips]
    whole = [each[:1] for each in rows]

    def scored(rows: Sequence[Rows]) -> ScoredClips:
        return score_rows(fitted.network, names, rows, fitted.spec, fitted.calm)

    after = {k: scored(calibrate_by_others(names, whole, fitted.speaker, k)) for k in CALIBRATION_CLIPS}
    return CalibrationScores(scored(rows), scored(calibrate_in_order(names, rows, fitted.speaker)), after)


def fit_temperature(parts: Sequence[ScoredClips], left_out: Collection[Name] = ()) -> Temperature:
    """The temperature that fits clips and windows of these answers together, but those of the clips `left_out`.

    In each part every corpus counts alike, and its clips as much as its windows.
    """
    out = set(left_out)
    kept = [part.of([name not in out for name in part.names]) for part in parts]
    kept = [part for part in kept if part.names]
    logits, targets, shared, weights, context = [], [], [], [], []
    for part in kept:
        sizes = Counter(name.corpus for name in part.names)
        each = torch.tensor([1 / sizes[name.corpus] for name in part.names], dtype=torch.float64)
        windows = torch.bincount(part.owners, minlength=len(part.names)).clamp(min=1)
        logits += [part.clip_logits, part.window_logits]
        targets += [part.clip_targets, part.window_targets]
        shared += [part.shared, part.shared[part.owners]]
        weights += [each, (each / windows)[part.owners]]
        context += [part.clip_context, part.context]
    joined = Context(*(np.concatenate(values) for values in zip(*context, strict=True)))
    return fit_temperature_of(torch.cat(logits), torch.cat(targets), joined, torch.cat(weights), torch.cat(shared))


@dataclass(frozen=True)
class CrossValidation:
    """The scores of all clips by the folds' networks, none by one that was trained on it.

    `index` [clips] says in which fold each was tested; folds that differ in their seed alone share a number.
    """

    scored: ScoredClips
    calibrated: ScoredClips
    after: Mapping[int, ScoredClips]
    index: Tensor
    groups: Tensor

    @classmethod
    def of(cls, folds: Sequence[Fold], parts: Sequence[CalibrationScores]) -> "CrossValidation":
        names = list(dict.fromkeys(fold.tested for fold in folds))
        sizes = torch.tensor([len(part.strict.names) for part in parts])
        return cls(
            concatenate([part.strict for part in parts]),
            concatenate([part.calibrated for part in parts]),
            {count: concatenate([part.after[count] for part in parts]) for count in CALIBRATION_CLIPS},
            torch.arange(len(folds)).repeat_interleave(sizes),
            torch.tensor([names.index(fold.tested) for fold in folds]).repeat_interleave(sizes),
        )

    @property
    def parts(self) -> list[ScoredClips]:
        """The answers that a temperature is fitted on."""
        return [self.scored, self.calibrated]

    def temperatures(self, beside: Sequence[ScoredClips] = ()) -> list[Temperature]:
        """The temperature of each fold, fitted on others' answers, and on those `beside` about other clips."""
        found = {}
        for group in sorted(set(self.groups.tolist())):
            tested = self.scored.of(self.groups == group).names
            found[group] = fit_temperature([*self.parts, *beside], tested)
        firsts = [int(self.groups[self.index == fold][0]) for fold in range(int(self.index.max()) + 1)]
        return [found[group] for group in firsts]

    def evaluation(self, notes: Sequence[str] = (), beside: Sequence[ScoredClips] = ()) -> Evaluation:
        """Whole clips first, then windows, and both after speaker calibration, clip after clip in their order."""
        temperatures = self.temperatures(beside)
        clips, windows = answers(self.scored, temperatures, self.index)
        calibrated, calibrated_windows = answers(self.calibrated, temperatures, self.index)
        figures = group_figures(self.scored, temperatures, self.index)
        known = group_figures(self.calibrated, temperatures, self.index)
        figures |= {f"calibrated_{name}": value for name, value in known.items() if name.startswith("uar_")}
        return Evaluation(
            {"clips": clips, "windows": windows, "calibrated": calibrated, "calibrated_windows": calibrated_windows},
            figures | calibration_figures(self.scored, self.after) | self._answered(clips, windows),
            list(notes),
        )

    def _answered(self, clips: Answers, windows: Answers) -> dict[str, float]:
        """Of whole clips, those not uncertain by a threshold chosen on what was said of the other folds."""
        of_windows, least = self.groups[self.scored.owners], np.full(len(self.groups), np.inf)
        for group in sorted(set(self.groups.tolist())):
            others = [clips.of(self.groups != group), windows.of(of_windows != group)]
            probabilities = torch.cat([each.probabilities() for each in others])
            table = selective(probabilities.numpy(), torch.cat([each.targets for each in others]).numpy())
            least[(self.groups == group).numpy()] = least_confidence(table)
        return answered_figures(clips, least)


_AS_IT_IS = Temperature([(1.0, 1.0)])


def calibration_figures(strict: ScoredClips, after: Mapping[int, ScoredClips]) -> dict[str, float]:
    """Accuracy and UAR of whole clips after k other clips of the speaker, by k; 0 is a stranger."""
    result: dict[str, float] = {}
    for count, scored in {0: strict, **after}.items():
        clips = answers(scored, [_AS_IT_IS])[0].figures()
        result |= {f"{figure}_after_{count}_clips": clips[figure] for figure in ("accuracy", "uar")}
    return result


Fit = Callable[[Fold], Fitted]


def cross_validate(corpus: Corpus, folds: Sequence[Fold], fit: Fit) -> CrossValidation:
    """Test on each fold what `fit` has trained on the others."""
    parts = []
    for number, fold in enumerate(folds, 1):
        parts.append(score_with_calibration(fit(fold), [corpus.clips[index] for index in fold.tested]))
        strict, calibrated = (answers(each, [_AS_IT_IS])[0] for each in (parts[-1].strict, parts[-1].calibrated))
        print(
            f"{fold.name} ({number}/{len(folds)}): {len(fold.tested)} clips · uar {strict.figures()['uar']:.3f} · "
            f"speaker-calibrated {calibrated.figures()['uar']:.3f}",
            flush=True,
        )
    return CrossValidation.of(folds, parts)


def save_logits(path: Path, result: CrossValidation) -> None:
    """Keep the out-of-fold logits of clips and windows as safetensors, with the clips' names as the file's metadata."""

    scored = result.scored
    save_file(
        {
            "clips": scored.clip_logits.contiguous(),
            "calibrated": result.calibrated.clip_logits.contiguous(),
            "windows": scored.window_logits.contiguous(),
            "owners": scored.owners,
            "seconds": torch.from_numpy(scored.context.seconds),
            "folds": result.index,
        },
        path,
        {"names": msgspec.json.encode(scored.names).decode()},
    )


def _name(kind: str, which: str, seed: int, seeds: Sequence[int]) -> str:
    return f"{kind}-{which}" + (f"-seed-{seed}" if len(seeds) > 1 else "")
