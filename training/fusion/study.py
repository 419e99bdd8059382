"""The evaluation of fusion on recordings as they are, with a half missing, noisy or contradicting the other; beside
either half alone."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emopipe.models.calibration import Doubles
from emopipe.models.fusion.networks import Moment
from emopipe.models.labels import FACE, SPEECH, SPEECH_TO_FACE
from emopipe.training.evaluation.intervals import gain_interval
from emopipe.training.evaluation.results import Answers, Evaluation
from emopipe.training.fusion.batches import random_moments, whole_recordings, with_voice_of, without_face, without_voice
from emopipe.training.fusion.out_of_fold import SpeechAnswers
from emopipe.training.fusion.pairs import FaceTrack, Pair, Pairs

FACE_NOISE_STD = 1.0  # standard deviation of the noise on the face's log-probabilities, frame by frame
FACE_LOSS_SHARE = 0.5  # share of its frames that are lost, in one piece
_SHARED = np.array([FACE.index(SPEECH_TO_FACE[label]) for label in SPEECH])

Logits = Callable[[Moment], Doubles]


def study(
    found: Pairs,
    voices: Sequence[SpeechAnswers],
    noisy: Sequence[SpeechAnswers],
    logits: Logits,
    temperature: float | Tensor,
    folds: Tensor | None,
    seed: int = 0,
) -> Evaluation:
    """Evaluate a fusion in all these ways.

    Args:
        found: the recordings.
        voices, noisy: what was said of their voices, and of the same with noise.
        logits: of moments of all recordings, in their order.
        temperature: of the logits; one, or one for each recording [N].
        folds: [N] in which fold each recording is tested.
        seed: of what is random in noise and contradictions.
    """
    random = np.random.default_rng(seed)
    targets = torch.tensor([pair.name.label for pair in found.pairs])
    actors = found.speakers

    def fused(moment: Moment) -> Answers:
        return Answers(torch.from_numpy(logits(moment)), targets, SPEECH, temperature, actors, folds)

    def alone(probabilities: Doubles) -> Answers:
        logs = torch.from_numpy(np.log(np.maximum(probabilities, 1e-6)))
        return Answers(logs, targets, SPEECH, 1.0, actors, folds)

    clear = whole_recordings(found.pairs, voices)
    faces = {"voice_missing": fused(without_voice(clear)), "face_plain": alone(mean_face(found.pairs))}
    heard = np.stack([np.asarray(voice.whole.probabilities, np.float64) for voice in voices])
    spoken = {"face_missing": fused(without_face(clear)), "voice_plain": alone(heard)}
    better = {"face": _best(faces), "voice": _best(spoken)}
    answers = {
        "fused": fused(clear),
        "face": faces[better["face"]],
        "voice": spoken[better["voice"]],
        **faces,
        **spoken,
        "noisy_face": fused(whole_recordings([_corrupt(pair, random) for pair in found.pairs], voices)),
        "noisy_voice": fused(whole_recordings(found.pairs, noisy)),
        "moments": fused(random_moments(found.pairs, voices, random)),
    }
    best = max((answers["face"], answers["voice"]), key=_accuracy)
    figures = {"gain": _accuracy(answers["fused"]) - _accuracy(best)}
    figures |= gain_interval(_right(answers["fused"]), _right(best), actors)
    shared, right = shared_labels(mean_face(found.pairs), targets.numpy())
    figures["face_plain_accuracy_in_shared_labels"] = float((shared.argmax(1) == right).mean())
    donors = draw_contradicting(found.pairs, random)
    if len(donors):
        figures |= _contradictions(clear, donors, targets, fused, answers["fused"])
    notes = [
        f"Alone, the better reading of the face is {better['face']}, of the voice {better['voice']}; gain is the fused "
        "accuracy less that of the better half.",
        "face_plain is the mean of the face network's distributions, a third of its neutral counting as neutral and "
        "two thirds as calm, as often as they are expressed.",
        f"noisy_voice: noise as strong as the features vary; noisy_face: {FACE_LOSS_SHARE:.0%} of the frames lost, and "
        f"noise of {FACE_NOISE_STD:g} on the log-probabilities of the others.",
        "moments: one random moment of each recording, as a stream knows it.",
    ]
    return Evaluation(answers, figures | _groups(found.pairs, answers["fused"]), notes)


def mean_face(pairs: Sequence[Pair]) -> Doubles:
    """The mean distribution of each face, [N, 8]: what a face says to whoever has learned nothing of RAVDESS."""
    means = np.stack([pair.face.probabilities.mean(0) for pair in pairs])
    neutral = np.array([1 / 3 if label == "neutral" else 2 / 3 if label == "calm" else 1.0 for label in SPEECH])
    result: Doubles = means[:, _SHARED] * neutral
    return result


def shared_labels(probabilities: Doubles, targets: NDArray[np.int64]) -> tuple[Doubles, NDArray[np.int64]]:
    """Distributions [N, 8] and targets [N] of `labels.SPEECH` in the labels that faces share; calm is neutral."""
    result = np.zeros((len(probabilities), len(FACE)))
    for place, shared in enumerate(_SHARED):
        result[:, shared] += probabilities[:, place]
    return result, _SHARED[targets]


def draw_contradicting(pairs: Sequence[Pair], random: np.random.Generator) -> NDArray[np.int64]:
    """For each recording another one [N] of the same actor with another emotion; empty where an actor has but one."""
    labels = np.array([_SHARED[pair.name.label] for pair in pairs])
    actors = np.array([pair.name.speaker for pair in pairs])
    donors = []
    for label, actor in zip(labels, actors, strict=True):
        others = np.flatnonzero((actors == actor) & (labels != label))
        if not len(others):
            return np.empty(0, np.int64)
        donors.append(int(random.choice(others)))
    return np.array(donors)


def _contradictions(
    clear: Moment,
    donors: NDArray[np.int64],
    targets: Tensor,
    fused: Callable[[Moment], Answers],
    plain: Answers,
) -> dict[str, float]:
    mixed = fused(with_voice_of(clear, Moment(*(part[donors] for part in clear))))
    said = mixed.probabilities().argmax(1)
    follows_face, follows_voice = said == targets, said == targets[torch.from_numpy(donors)]
    return {
        "contradicting_follows_face": float(follows_face.double().mean()),
        "contradicting_follows_voice": float(follows_voice.double().mean()),
        "contradicting_follows_neither": float((~follows_face & ~follows_voice).double().mean()),
        "contradicting_confidence": float(mixed.probabilities().amax(1).mean()),
        "confidence": float(plain.probabilities().amax(1).mean()),
    }


def _corrupt(pair: Pair, random: np.random.Generator) -> Pair:
    """The face with a piece of its frames lost, and noise on the others."""
    count = len(pair.face.times)
    lost = round(FACE_LOSS_SHARE * count) if count > 1 else 0
    first = int(random.integers(0, count - lost, endpoint=True))
    kept = np.r_[0:first, first + lost : count]
    logs = pair.face.evidence[kept] + random.normal(0, FACE_NOISE_STD, (len(kept), len(FACE)))
    powers = np.exp(logs)
    return pair._replace(face=FaceTrack(pair.face.times[kept], powers / powers.sum(1, keepdims=True)))


def _best(readings: dict[str, Answers]) -> str:
    return max(readings, key=lambda name: _accuracy(readings[name]))


def _right(answers: Answers) -> Tensor:
    return answers.logits.argmax(1) == answers.targets


def _accuracy(answers: Answers) -> float:
    return float(_right(answers).double().mean())


def _groups(pairs: Sequence[Pair], fused: Answers) -> dict[str, float]:
    """Accuracy and UAR by sex and by intensity."""
    women = torch.tensor([pair.name.sex == "female" for pair in pairs])
    strong = torch.tensor([pair.name.intensity == "02" for pair in pairs])
    result: dict[str, float] = {}
    for name, rows in {"female": women, "male": ~women, "normal": ~strong, "strong": strong}.items():
        if rows.any():
            found = fused.of(rows).figures()
            result |= {f"{figure}_{name}": found[figure] for figure in ("accuracy", "uar")}
    return result
