"""Random windows of speech, and what is varied in them: batches for training a voice classifier."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from emopipe.models.speech.features import Floats, MfccSpec, window_features
from emopipe.models.speech.speaker import MfccStatistics
from emopipe.training.speech.clips import Clip
from emopipe.training.speech.settings import Augmentation
from emopipe.training.speech.speakers import Speakers

_CALIBRATION_CLIPS = (1, 2, 4, 8, 16, 30, 60)
"""How many clips of a speaker a crop is calibrated by, one of these by chance."""


class SpeechBatches:
    """Batches (MFCC [N, T, coefficients], classes [N]) of one random crop of each clip, an epoch.

    All crops of a batch have one random length T, as a stream's windows have all lengths up to the longest; so
    nothing is padded. Each clip plays at one of the speeds, by chance. The share `calibrate` of the crops is normalised
    as if some other clips of the speaker had been heard before, so that one network serves strangers and known people.

    Args:
        versions: the same clips at each speed.
        size: clips in a batch; a last, smaller batch is left out.
        seed: with `epoch` it determines the order, the lengths and the crops.
    """

    def __init__(
        self, versions: Sequence[Sequence[Clip]], size: int, how: Augmentation, spec: MfccSpec, seed: int
    ) -> None:
        self.versions, self.size, self.how, self.spec, self.seed = versions, size, how, spec, seed
        self.epoch = 0  # to be set before each
        self.rank, self.world = 0, 1  # of several GPUs each takes its share of every batch
        rate = spec.sample_rate
        self._lengths = spec.frames(round(how.shortest * rate)), spec.frames(round(how.longest * rate))
        # A gain of 1 dB adds this to each log-mel, and to the first coefficient of their orthonormal DCT:
        self._decibel = math.log(10) / 10 * math.sqrt(spec.mels)
        speech = np.concatenate([clip.mfcc[slice(*clip.speech)] for clips in versions for clip in clips])
        prior = MfccStatistics(speech.mean(axis=0, dtype=np.float64), speech.std(axis=0, dtype=np.float64))
        self._speakers = [
            Speakers(((clip.name, clip.rows(MfccSpec)[0]) for clip in clips), prior) for clips in versions
        ]

    def __len__(self) -> int:
        return max(1, len(self.versions[0]) // self.size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.versions[0]))
        for number in range(len(self)):
            random = np.random.default_rng((self.seed, self.epoch, number))
            length = int(random.integers(self._lengths[0], self._lengths[1], endpoint=True))
            chosen = order[number * self.size : (number + 1) * self.size]
            if self.world > 1:  # of one length on all, but with an augmentation of its own on each
                chosen = chosen[self.rank :: self.world]
                random = np.random.default_rng((self.seed, self.epoch, number, self.rank))
            mfcc = np.stack([self._crop(index, length, random) for index in chosen])
            mfcc[:, :, 0] += self._decibel * random.normal(0, self.how.gain, (len(chosen), 1)).astype(np.float32)
            yield torch.from_numpy(mfcc), torch.tensor([self.versions[0][index].name.label for index in chosen])

    def speech_features(self) -> Tensor:
        """The features of all speech, [frames, 3 * coefficients], for their mean and standard deviation."""
        speech = [clip.mfcc[slice(*clip.speech)] for clips in self.versions for clip in clips]
        return torch.cat([window_features(torch.from_numpy(mfcc), self.spec) for mfcc in speech])

    def _crop(self, index: int, length: int, random: np.random.Generator) -> Floats:
        speed = int(random.integers(len(self.versions)))
        clip = self.versions[speed][index]
        crop = _random_crop(clip, length, random)
        if random.random() < self.how.calibrate:
            crop = self._speakers[speed].others(clip.name, int(random.choice(_CALIBRATION_CLIPS)), random).apply(crop)
        return crop


def _random_crop(clip: Clip, length: int, random: np.random.Generator) -> Floats:
    """`length` frames at random of the clip's speech; where that is shorter, with what is around it."""
    first, end = clip.speech
    start = int(random.integers(first, max(first, end - length), endpoint=True))
    start = max(0, min(start, len(clip.mfcc) - length))
    crop = clip.mfcc[start : start + length]
    return np.pad(crop, ((0, length - len(crop)), (0, 0)), mode="edge")


def mask_features(features: Tensor, fill: Tensor, how: Augmentation) -> Tensor:
    """Hide a span of time and a band of coefficients with their deltas (Park et al. 2019, SpecAugment).

    Features [N, T, F] in and out; `fill` [F] is what stands in the hidden part. Coefficient 0, the level, is never
    hidden. Randomness is torch's default generator.
    """
    count, frames, width = features.shape
    coefficients = width // 3

    def span(length: int, fraction: float, first: int = 0) -> Tensor:
        size = torch.rand(count, 1) * fraction * length
        start = first + torch.rand(count, 1) * (length - first - size)
        at = torch.arange(length)
        return ((at >= start) & (at < start + size)).to(features.device)

    times = span(frames, how.time_mask)[:, :, None]
    bands = span(coefficients, how.band_mask, first=1).repeat(1, 3)[:, None, :]
    return torch.where(times | bands, fill, features)
