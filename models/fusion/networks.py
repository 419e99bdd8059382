"""Networks that fuse a face and a voice, by name: what was seen and heard up to one moment in, logits out.

They are written once and run twice: training differentiates them in torch, and the stream runs them in NumPy, whose
process then needs no torch (44 MB instead of half a gigabyte, no 5 s of import) and whose sums have one order whatever
else a machine does. So a network uses nothing but what arrays of both understand.

A new one is one class: it makes its `initial` weights, and says in `logits` what becomes of them and a `Moment`.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emopipe.models.labels import FACE, SPEECH

Doubles = NDArray[np.float64]
Array = Any
"""A NumPy array or a torch tensor: whatever the moment is made of."""

STEP_S = 0.2  # s: a face's course is kept in steps of this length
STEPS = 20  # … and reaches back 4 s at most
MAX_WINDOWS = 8  # of speech, at most
TIMBRE_SIZE = 120  # see `emopipe.models.fusion.model.timbre`
FIXED_WEIGHTS = ("timbre_mean", "timbre_scale")
"""Weights that are set from the training data, and not trained."""


class Moment(NamedTuple):
    """The history of N faces and voices up to one moment each, newest last; zeros where there was nothing.

    Distributions are centred log-ratios, log p less its mean over the labels (Aitchison 1982): a uniform distribution
    is zero, half the numbers are the square root of the odds, and nothing at all is zero as well.

    Attributes:
        face: [N, STEPS, 7] centred log-ratios, the mean over the frames of each step.
        seen: [N, STEPS] 1 where there was a frame, else 0.
        voice: [N, MAX_WINDOWS, 8] centred log-ratios.
        length: [N, MAX_WINDOWS] of the window; 3 s count as 1.
        heard: [N, MAX_WINDOWS] 1 where there was a window, else 0.
        timbre: [N, TIMBRE_SIZE] of the newest window; zeros also where nobody knows it.
    """

    face: Array
    seen: Array
    voice: Array
    length: Array
    heard: Array
    timbre: Array


def linear(x: Array, weight: Array, bias: Array) -> Array:
    """[..., inputs] -> [..., outputs]; in NumPy as products and sums: how a BLAS sums may depend on its threads."""
    if isinstance(x, np.ndarray):
        return (x[..., None, :] * weight).sum(-1) + bias
    return x @ weight.T + bias


def _library(x: Array) -> Any:
    if isinstance(x, np.ndarray):
        return np
    import torch

    return torch


def _softmax(x: Array) -> Array:
    powers = _library(x).exp(x - _library(x).amax(x, -1)[..., None])
    return powers / powers.sum(-1)[..., None]


def _spread(centred: Array) -> Array:
    """The spread of distributions, [..., labels] -> [..., 1]: the deviation of their log-ratios."""
    return _library(centred).sqrt((centred**2).mean(-1) + 1e-6)[..., None]


def _there(flags: Array) -> Array:
    """[N, times] -> [N, 1]: 1 where there was anything."""
    return _library(flags).amax(flags, -1)[..., None]


class FaceSummary(NamedTuple):
    """Statistics of a face's history; zeros where none was seen.

    `values` [N, 28] are, for each label, the mean, the highest, the deviation, and how far the last half second lies
    from the mean; `amount` [N, 1] is how much of the course was seen, 0..1.
    """

    values: Array
    mean: Array
    amount: Array


SUMMARY_SIZE = 4 * len(FACE)


def summary(moment: Moment) -> FaceSummary:
    """Statistics over the steps, each as long as any other: the same for 15 and for 60 frames a second."""
    x, library = moment.face, _library(moment.face)
    weights = moment.seen[..., None]
    count = weights.sum(1) + 1e-6
    mean = (weights * x).sum(1) / count
    deviation = library.sqrt((weights * (x - mean[:, None]) ** 2).sum(1) / count + 1e-6)
    highest = library.amax(x * weights - 20 * (1 - weights), 1)
    fading = weights * _like(np.exp(-STEP_S / 0.5 * np.arange(STEPS)[::-1]), x)[:, None]
    recent = (fading * x).sum(1) / (fading.sum(1) + 1e-6)
    there = _there(moment.seen)
    parts = [mean, highest, deviation, recent - mean]
    return FaceSummary(_joined(parts) * there, mean, moment.seen.sum(-1)[..., None] / STEPS)


def _joined(parts: list[Array]) -> Array:
    return np.concatenate(parts, -1) if isinstance(parts[0], np.ndarray) else _library(parts[0]).cat(parts, -1)


def _like(values: Doubles, other: Array) -> Array:
    """`values` as an array of the other's kind and type."""
    return values if isinstance(other, np.ndarray) else other.new_tensor(values)


def _weights(random: np.random.Generator, inputs: int, outputs: int, gain: float = 1.0) -> Doubles:
    return random.normal(0, gain / math.sqrt(inputs), (outputs, inputs))


Drop = Callable[[Array], Array]


def keep(x: Array) -> Array:
    """No dropout."""
    return x


class FusionNetwork:
    """A moment in, logits [N, 8] over `labels.SPEECH` out, whichever halves are there."""

    OPTIONS: ClassVar[Mapping[str, int]] = {}

    def __init__(self, **options: int) -> None:
        if unknown := set(options) - set(self.OPTIONS):
            raise TypeError(f"unknown option {', '.join(sorted(unknown))}")
        self.options = {**self.OPTIONS, **options}

    def initial(self, random: np.random.Generator) -> dict[str, Doubles]:
        """Weights to start the training from, by name."""
        raise NotImplementedError

    def logits(self, p: Mapping[str, Array], moment: Moment, drop: Drop = keep) -> Array:
        """Logits [N, 8] with the weights `p`; `drop` is applied to hidden units in training."""
        raise NotImplementedError


class Decision(FusionNetwork):
    """Late fusion: each half makes up its mind, and a learned pool weighs both.

    The opinions are linear in log-probabilities, so that the pool is a logarithmic one (see
    `models.fusion.opinion_pool`); a gate raises or lowers each by how sure both are, how long the face was seen, how
    much voice there was, and how far both agree. Where they contradict each other both may be lowered, which is what
    makes an answer uncertain."""

    OPTIONS: ClassVar[Mapping[str, int]] = {"hidden": 8}

    def initial(self, random: np.random.Generator) -> dict[str, Doubles]:
        hidden, labels = self.options["hidden"], len(SPEECH)
        return {
            "bias": np.zeros(labels),
            "face": _weights(random, SUMMARY_SIZE, labels, 0.5),
            "face_bias": np.zeros(labels),
            "voice": np.eye(labels),
            "voice_bias": np.zeros(labels),
            "gate": _weights(random, 7, hidden),
            "gate_bias": np.zeros(hidden),
            "gates": np.zeros((2, hidden)),
            "gates_bias": np.zeros(2),
        }

    def logits(self, p: Mapping[str, Array], moment: Moment, drop: Drop = keep) -> Array:
        library = _library(moment.face)
        face, voice, length = summary(moment), moment.voice[:, -1], moment.length[:, -1:]
        seen, heard = _there(moment.seen), moment.heard[:, -1:]
        of_face = linear(drop(face.values), p["face"], p["face_bias"]) * seen
        of_voice = linear(voice, p["voice"], p["voice_bias"]) * heard
        agreement = (_softmax(of_face) * _softmax(of_voice)).sum(-1)[..., None] * seen * heard
        sureness = [_spread(face.mean) * seen, face.amount, _spread(voice) * heard, length]
        known = _joined([*sureness, agreement, seen, heard])
        gates = linear(library.tanh(linear(known, p["gate"], p["gate_bias"])), p["gates"], p["gates_bias"])
        raised = library.exp(2 * library.tanh(gates / 2))
        return p["bias"] + raised[:, :1] * of_face + raised[:, 1:] * of_voice


class Feature(FusionNetwork):
    """Early fusion: one layer sees the face's summary, the voice's distribution, and the sound of the voice itself.

    The sound is its timbre and not the embedding of the network for voices: an embedding is a language of one network,
    and the networks of different folds, on whose answers this one is trained, have no word in common.
    """

    OPTIONS: ClassVar[Mapping[str, int]] = {"hidden": 48}

    def initial(self, random: np.random.Generator) -> dict[str, Doubles]:
        hidden, labels = self.options["hidden"], len(SPEECH)
        inputs = SUMMARY_SIZE + labels + TIMBRE_SIZE + 4
        return {
            "timbre_mean": np.zeros(TIMBRE_SIZE),
            "timbre_scale": np.ones(TIMBRE_SIZE),
            "first": _weights(random, inputs, hidden),
            "first_bias": np.zeros(hidden),
            "last": _weights(random, hidden, labels, 0.5),
            "bias": np.zeros(labels),
            "direct": np.concatenate([_weights(random, SUMMARY_SIZE, labels, 0.5), np.eye(labels)], 1),
        }

    def logits(self, p: Mapping[str, Array], moment: Moment, drop: Drop = keep) -> Array:
        face, voice = summary(moment), moment.voice[:, -1]
        seen, heard = _there(moment.seen), moment.heard[:, -1:]
        known_sound = (_library(moment.timbre).amax(abs(moment.timbre), -1)[..., None] > 0) * heard
        timbre = (moment.timbre - p["timbre_mean"]) * p["timbre_scale"] * known_sound
        opinions = _joined([face.values, voice])
        known = _joined([opinions, drop(timbre), face.amount, moment.length[:, -1:], seen, heard])
        hidden = _library(known).tanh(linear(known, p["first"], p["first_bias"]))
        return linear(drop(hidden), p["last"], p["bias"]) + linear(drop(opinions), p["direct"], 0.0)


class Attention(FusionNetwork):
    """Cross-modal attention: each step of the face looks at the windows of speech, and each window at the face.

    After Tsai et al. (2019), Multimodal transformer for unaligned multimodal language sequences, with one head a
    direction. Each sequence ends with a token that is always there, so that a missing half is something to look at too.
    """

    OPTIONS: ClassVar[Mapping[str, int]] = {"width": 24}

    def initial(self, random: np.random.Generator) -> dict[str, Doubles]:
        width, labels = self.options["width"], len(SPEECH)
        weights: dict[str, Doubles] = {"bias": np.zeros(labels), "last": _weights(random, 4 * width, labels, 0.5)}
        for half, inputs, length in (("face", len(FACE), STEPS), ("voice", labels + 1, MAX_WINDOWS)):
            weights |= {
                f"{half}_token": _weights(random, inputs, width),
                f"{half}_place": random.normal(0, 0.1, (length, width)),
                f"{half}_nothing": random.normal(0, 0.5, (1, width)),
                f"{half}_query": _weights(random, width, width),
                f"{half}_key": _weights(random, width, width),
                f"{half}_value": _weights(random, width, width),
            }
        weights["direct"] = np.concatenate([_weights(random, len(FACE), labels, 0.5), np.eye(labels)], 1)
        return weights

    def logits(self, p: Mapping[str, Array], moment: Moment, drop: Drop = keep) -> Array:
        windows = _joined([moment.voice, moment.length[..., None]])
        face, seen = self._tokens(p, "face", moment.face, moment.seen)
        voice, heard = self._tokens(p, "voice", windows, moment.heard)
        of_voice = self._look(p, "face", "voice", face, voice, heard)
        of_face = self._look(p, "voice", "face", voice, face, seen)
        pooled = [self._mean(face, seen), self._mean(of_voice, seen), self._mean(voice, heard)]
        known = _joined([*pooled, self._mean(of_face, heard)])
        opinions = _joined([summary(moment).mean, moment.voice[:, -1]])
        return linear(drop(known), p["last"], p["bias"]) + linear(opinions, p["direct"], 0.0)

    def _tokens(self, p: Mapping[str, Array], half: str, x: Array, there: Array) -> tuple[Array, Array]:
        """Tokens [N, times + 1, width], the last of them always there, and which are."""
        tokens = _library(x).tanh(linear(x, p[f"{half}_token"], p[f"{half}_place"]))
        always = _like(np.ones((1, 1)), x) + 0 * there[:, :1]
        nothing = p[f"{half}_nothing"] * always[..., None]
        if isinstance(x, np.ndarray):
            return np.concatenate([tokens, nothing], 1), np.concatenate([there, always], 1)
        library = _library(x)
        return library.cat([tokens, nothing], 1), library.cat([there, always], 1)

    def _look(self, p: Mapping[str, Array], own: str, other: str, queries: Array, others: Array, there: Array) -> Array:
        """The attention of each of `queries` [N, Q, width] to `others` [N, K, width] that are `there` [N, K]."""
        asked = linear(queries, p[f"{own}_query"], 0.0)
        offered = linear(others, p[f"{other}_key"], 0.0)
        scores = (asked[:, :, None] * offered[:, None]).sum(-1) / math.sqrt(self.options["width"])
        weights = _softmax(scores - 1e4 * (1 - there)[:, None])
        return (weights[..., None] * linear(others, p[f"{other}_value"], 0.0)[:, None]).sum(2)

    def _mean(self, tokens: Array, there: Array) -> Array:
        return (tokens * there[..., None]).sum(1) / there.sum(1)[:, None]


NETWORKS: dict[str, type[FusionNetwork]] = {"decision": Decision, "feature": Feature, "attention": Attention}
