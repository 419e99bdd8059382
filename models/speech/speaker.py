"""Speaker calibration: what is learnt of a voice while it speaks, and how its MFCC are brought to a common place.

Voices differ more between people than between emotions. Normalising a person's features by that person's own mean and
deviation is the largest single gain on unseen people; but from a few seconds those are mostly chance, and then it
makes things worse. So they are shrunk towards those of the training speakers, by how much has been heard, and in use
nothing is done with a voice before it has been heard for `MIN_CLIPS`.
"""

from pathlib import Path
from typing import Self

import msgspec
import numpy as np
import numpy.typing as npt

from emopipe.models.speech.features import Floats
from emopipe.pipeline.errors import DataError

PRIOR_CLIPS = 6.0
"""As much speech as the training speakers' statistics count for: k clips of a speaker weigh k / (k + 6)."""

MIN_CLIPS = 20.0
"""From so much speech on (50 s) it helped strangers; with less it was a little worse or no better, by chance or not
(docs/models/speech.md)."""

CLIP_FRAMES = 262
"""Frames of 10 ms in a clip of RAVDESS on average, from its first window of speech to its last."""

Doubles = npt.NDArray[np.float64]


class _Profile(msgspec.Struct, forbid_unknown_fields=True):
    """The content of a profile's file."""

    frames: int
    total: list[float]
    squares: list[float]


class SpeakerStatistics:
    """Mean and deviation of one speaker's MFCC so far.

    Args:
        mean, deviation: those of the training speakers, [coefficients]; the ones of before anything was heard.
        min_clips: as much speech as must have been heard before any of it counts.
    """

    def __init__(
        self, mean: npt.NDArray[np.floating], deviation: npt.NDArray[np.floating], min_clips: float = 0.0
    ) -> None:
        self.min_clips = min_clips
        self.mean: Doubles = mean.astype(np.float64)
        self.deviation: Doubles = deviation.astype(np.float64)
        self.frames = 0
        self._total = np.zeros_like(self.mean)
        self._squares = np.zeros_like(self.mean)

    @property
    def weight(self) -> float:
        """The weight of the speaker's own statistics, 0 (too little heard yet) to 1."""
        clips = self.frames / CLIP_FRAMES
        return clips / (clips + PRIOR_CLIPS) if clips >= self.min_clips else 0.0

    def update(self, mfcc: Floats) -> None:
        """Learn from speech, float32 [T, coefficients]; give each frame once."""
        exact = mfcc.astype(np.float64)
        self.frames += len(exact)
        self._total += exact.sum(axis=0)
        self._squares += np.square(exact).sum(axis=0)

    def add(self, other: "SpeakerStatistics") -> None:
        """Learn what `other` has learnt of the same speaker."""
        self.frames += other.frames
        self._total += other._total
        self._squares += other._squares

    def fresh(self) -> "SpeakerStatistics":
        """Statistics of another speaker, of whom nothing has been heard."""
        return SpeakerStatistics(self.mean, self.deviation, self.min_clips)

    def apply(self, mfcc: Floats) -> Floats:
        """The MFCC [T, coefficients] as if the speaker's statistics were those of the training speakers."""
        if not self.weight:
            return mfcc
        own = self._total / self.frames
        spread = np.sqrt(np.maximum(self._squares / self.frames - own**2, 1e-4))
        weight = self.weight
        mean = self.mean + weight * (own - self.mean)
        deviation = self.deviation + weight * (spread - self.deviation)
        scale = self.deviation / deviation
        return (mfcc * scale + (self.mean - mean * scale)).astype(np.float32)

    def save(self, path: Path) -> None:
        """Write a profile: sums over frames, of which no sound can be remade, as JSON.

        Raises:
            DataError: the file cannot be written.
        """
        profile = _Profile(self.frames, self._total.tolist(), self._squares.tolist())
        try:
            path.write_bytes(msgspec.json.encode(profile))
        except OSError as error:
            raise DataError(f"{path}: the speaker's profile cannot be written ({error.strerror})") from None

    def load(self, path: Path) -> Self:
        """Take what a profile's file holds in the place of what was heard; gives itself.

        Raises:
            DataError: the file is missing, damaged, or of other features.
        """
        try:
            profile = msgspec.json.decode(path.read_bytes(), type=_Profile)
        except OSError as error:
            raise DataError(f"{path}: the speaker's profile cannot be read ({error.strerror})") from None
        except msgspec.MsgspecError as error:
            raise DataError(f"{path}: not a speaker's profile ({error}); make it again") from None
        if not (len(profile.total) == len(profile.squares) == len(self.mean)) or profile.frames < 0:
            raise DataError(
                f"{path}: {len(profile.total)} coefficients, but the model has {len(self.mean)}; make it again"
            )
        self.frames = profile.frames
        self._total = np.array(profile.total)
        self._squares = np.array(profile.squares)
        return self
