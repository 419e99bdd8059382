"""Moments of recordings to train fusion on and to test it with, and what is varied in them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from emopipe.models.fusion.model import HISTORY_S, moment_from_arrays
from emopipe.models.fusion.networks import Moment
from emopipe.models.labels import SPEECH
from emopipe.training.fusion.out_of_fold import SpeechAnswers
from emopipe.training.fusion.pairs import FaceTrack, Pair
from emopipe.training.fusion.settings import Augmentation

HOLD_S = 1.0  # s: how long a window stays the partner of frames, as the stage's default has it


class Batch(NamedTuple):
    """Moments (of torch), and for each what is right, as a distribution [N, 8]."""

    moment: Moment
    truth: Tensor


def whole_recordings(pairs: Sequence[Pair], voices: Sequence[SpeechAnswers]) -> Moment:
    """The end of each recording: its whole face, and its whole speech as one window before which nothing was heard."""
    return concatenate(
        [_moment(pair.face, float(pair.face.times[-1]), [voice.whole]) for pair, voice in _zipped(pairs, voices)]
    )


def random_moments(pairs: Sequence[Pair], voices: Sequence[SpeechAnswers], random: np.random.Generator) -> Moment:
    """A moment of each recording as a stream knows it: the face up to a random frame, and the windows before it."""
    found = []
    for pair, voice in _zipped(pairs, voices):
        now = float(random.choice(pair.face.times))
        heard = voice.at(now)
        held = heard if heard and heard[-1].age <= HOLD_S else []
        since = now - random.uniform(0.1, HISTORY_S)  # as if the face had only been there since then
        late = pair.face.times >= since
        found.append(_moment(FaceTrack(pair.face.times[late], pair.face.probabilities[late]), now, held))
    return concatenate(found)


def _zipped(pairs: Sequence[Pair], voices: Sequence[SpeechAnswers]) -> Iterator[tuple[Pair, SpeechAnswers]]:
    return zip(pairs, voices, strict=True)


def _moment(face: FaceTrack, now: float, heard: Sequence) -> Moment:  # type: ignore[type-arg]
    kept = face.times <= now
    return moment_from_arrays(now - face.times[kept], face.evidence[kept], heard)


def concatenate(moments: Sequence[Moment]) -> Moment:
    """Several as one."""
    return Moment(*(np.concatenate(parts) for parts in zip(*moments, strict=True)))


def select(moment: Moment, rows: object) -> Moment:
    """The rows of a moment of either kind."""
    return Moment(*(part[rows] for part in moment))


def as_tensors(moment: Moment) -> Moment:
    return Moment(*(torch.as_tensor(part, dtype=torch.float32) for part in moment))


def without_face(moment: Moment) -> Moment:
    return moment._replace(face=0 * moment.face, seen=0 * moment.seen)


def without_voice(moment: Moment) -> Moment:
    nothing = {name: 0 * getattr(moment, name) for name in ("voice", "length", "heard", "timbre")}
    return moment._replace(**nothing)


def with_voice_of(moment: Moment, other: Moment) -> Moment:
    """The faces of one, the voices of another."""
    return other._replace(face=moment.face, seen=moment.seen)


class FusionBatches:
    """Batches of moments, each varied anew in every epoch.

    Modality dropout after Chumachenko et al. (2022, arXiv:2201.11095): the full pair; c · face and (1 - c) · voice;
    either half alone. Faces also come as another network would have seen them (surer or less sure, leaning to some
    labels), noisily and with steps missing; voices surer or less sure, and noisily; and some moments contradict
    themselves, of which the truth is half of either.

    Args:
        moment: all moments, of torch.
        targets: [N] indices into `labels.SPEECH`.
        size: of a batch.
        seed: with `epoch` it determines everything.
    """

    def __init__(self, moment: Moment, targets: Tensor, size: int, how: Augmentation, seed: int) -> None:
        self.moment, self.targets, self.size, self.how, self.seed = moment, targets, size, how, seed
        self.epoch = 0  # to be set before each

    def __len__(self) -> int:
        return max(1, len(self.targets) // self.size)

    def __iter__(self) -> Iterator[Batch]:
        random = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        order = torch.randperm(len(self.targets), generator=random)
        for rows in order.tensor_split(len(self)):
            yield self._varied(select(self.moment, rows), self.targets[rows], random)

    def _varied(self, moment: Moment, targets: Tensor, random: torch.Generator) -> Batch:
        how, count = self.how, len(targets)

        def noise(spread: float, *shape: int) -> Tensor:
            return spread * torch.randn(*shape, generator=random)

        fate = torch.rand(count, generator=random)
        ends = torch.tensor([how.face_alone, how.voice_alone, how.shared_out, how.contradicting]).cumsum(0)
        face_alone = fate < ends[0]
        voice_alone = (fate >= ends[0]) & (fate < ends[1])
        shared_out = (fate >= ends[1]) & (fate < ends[2])
        contradicting = (fate >= ends[2]) & (fate < ends[3])

        other = torch.randperm(count, generator=random)
        contradicting &= (targets[other] != targets) & (moment.heard[other, -1] > 0) & (moment.seen.amax(1) > 0)
        donors = torch.where(contradicting, other, torch.arange(count))
        truth = (F.one_hot(targets, len(SPEECH)) + F.one_hot(targets[donors], len(SPEECH))).float() / 2
        moment = with_voice_of(moment, select(moment, donors))

        share = torch.rand(count, generator=random)
        of_face = torch.where(shared_out, share, (~voice_alone).float())[:, None, None]
        of_voice = torch.where(shared_out, 1 - share, (~face_alone).float())[:, None, None]
        labels = moment.face.shape[-1]
        face = moment.face * noise(how.face_sharpness, count, 1, 1).exp() + noise(how.face_bias, count, 1, labels)
        face = face + noise(how.face_noise, *face.shape)
        voice = moment.voice * noise(how.voice_sharpness, count, 1, 1).exp() + noise(
            how.voice_noise, *moment.voice.shape
        )
        rate = how.dropped * torch.rand(count, 1, generator=random)
        seen = moment.seen * (torch.rand(moment.seen.shape, generator=random) >= rate)
        seen = torch.where(seen.sum(1, keepdim=True) > 0, seen, moment.seen) * (of_face[..., 0] > 0)
        heard = moment.heard * (of_voice[..., 0] > 0)
        scale = moment.timbre.std(0)
        timbre = (moment.timbre + noise(how.timbre_noise, *moment.timbre.shape) * scale) * (of_voice[:, 0] > 0)
        return Batch(
            Moment(
                face=_centred(face) * of_face * seen[..., None],
                seen=seen,
                voice=_centred(voice) * of_voice * heard[..., None],
                length=moment.length * heard,
                heard=heard,
                timbre=timbre,
            ),
            truth,
        )


def _centred(x: Tensor) -> Tensor:
    return x - x.mean(-1, keepdim=True)
