"""Speaker calibration: what is learnt of a voice while it speaks, and how its features are brought to a common place.

Voices differ more between people, and microphones, than between emotions. Taking a person's own mean from their
features is the largest single gain on strangers; but from a few seconds that mean is mostly chance. So it is shrunk
towards that of the training speakers, by how much has been heard.
"""

from pathlib import Path
from typing import ClassVar, Self

import msgspec
import numpy as np
import numpy.typing as npt

from emopipe.models.speech.embedding import KNOWN, SECONDS
from emopipe.models.speech.features import Floats
from emopipe.pipeline.errors import DataError

MFCC_PRIOR_CLIPS, VECTOR_PRIOR_CLIPS = 6.0, 3.0
"""As much speech as the training speakers' statistics count for: k clips of a speaker weigh k / (k + 6), or k / (k + 3)
where vectors are normalised, which say more of a speaker than MFCC do."""

MIN_CLIPS = 20.0
"""Networks on MFCC: from so much speech on (50 s) it helped strangers; with less it was a little worse or no better, by
chance or not (docs/models/speech.md)."""

CLIP_SECONDS = 2.62
"""The length of a clip of RAVDESS on average, from its first window of speech to its last."""

_FRAME_S = 0.01

Doubles = npt.NDArray[np.float64]


class _Profile(msgspec.Struct, forbid_unknown_fields=True):
    """The content of a profile's file."""

    seconds: float
    total: list[float]
    squares: list[float]


class SpeakerStatistics:
    """Mean of one speaker's rows so far (`emopipe.models.speech.model`), and their deviation where that is used.

    Args:
        mean, deviation: those of the training speakers, [D]; the ones of before anything was heard.
        min_clips: as much speech as must have been heard before any of it counts.
    """

    prior_clips: ClassVar[float]

    def __init__(
        self, mean: npt.NDArray[np.floating], deviation: npt.NDArray[np.floating], min_clips: float = 0.0
    ) -> None:
        self.min_clips = min_clips
        self.mean: Doubles = mean.astype(np.float64)
        self.deviation: Doubles = deviation.astype(np.float64)
        self.seconds = 0.0
        self._total = np.zeros_like(self.mean)
        self._squares = np.zeros_like(self.mean)

    @property
    def weight(self) -> float:
        """How much of the speaker's own statistics is used, 0 (too little heard yet) to 1."""
        clips = self.seconds / CLIP_SECONDS
        return clips / (clips + self.prior_clips) if clips >= self.min_clips else 0.0

    def update(self, row: Floats, seconds: float | None = None) -> None:
        """Learn from a row whose last `seconds` are new; all of it where nothing is said."""
        raise NotImplementedError

    def apply(self, row: Floats) -> Floats:
        """The row as if the speaker's statistics were those of the training speakers."""
        raise NotImplementedError

    def add(self, other: "SpeakerStatistics") -> None:
        """Learn what `other` has learnt of the same speaker."""
        self.seconds += other.seconds
        self._total += other._total
        self._squares += other._squares

    def fresh(self) -> Self:
        """Statistics of another speaker, of whom nothing has been heard."""
        return type(self)(self.mean, self.deviation, self.min_clips)

    def save(self, path: Path) -> None:
        """Write a profile: sums over rows, of which no sound can be remade, as JSON.

        Raises:
            DataError: the file cannot be written.
        """
        profile = _Profile(self.seconds, self._total.tolist(), self._squares.tolist())
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
        if not (len(profile.total) == len(profile.squares) == len(self.mean)) or profile.seconds < 0:
            raise DataError(f"{path}: {len(profile.total)} numbers, but the model has {len(self.mean)}; make it again")
        self.seconds = profile.seconds
        self._total = np.array(profile.total)
        self._squares = np.array(profile.squares)
        return self


class MfccStatistics(SpeakerStatistics):
    """Mean and deviation of each coefficient over all frames."""

    prior_clips = MFCC_PRIOR_CLIPS

    def update(self, row: Floats, seconds: float | None = None) -> None:
        new = len(row) if seconds is None else min(len(row), round(seconds / _FRAME_S))
        exact = row[len(row) - new :].astype(np.float64)
        self.seconds += len(exact) * _FRAME_S
        self._total += exact.sum(axis=0) * _FRAME_S
        self._squares += np.square(exact).sum(axis=0) * _FRAME_S

    def apply(self, row: Floats) -> Floats:
        if not self.weight:
            return row
        own = self._total / self.seconds
        spread = np.sqrt(np.maximum(self._squares / self.seconds - own**2, 1e-4))
        weight = self.weight
        mean = self.mean + weight * (own - self.mean)
        deviation = self.deviation + weight * (spread - self.deviation)
        scale = self.deviation / deviation
        return (row * scale + (self.mean - mean * scale)).astype(np.float32)


class VectorStatistics(SpeakerStatistics):
    """Mean of a speaker's vectors (`emopipe.models.speech.embedding`), each counted by its new seconds."""

    prior_clips = VECTOR_PRIOR_CLIPS

    def update(self, row: Floats, seconds: float | None = None) -> None:
        new = float(row[SECONDS]) if seconds is None else seconds
        self.seconds += new
        self._total += new * row.astype(np.float64)

    def apply(self, row: Floats) -> Floats:
        if not self.weight:
            return row
        result = row - self.weight * (self._total / self.seconds - self.mean)
        result[SECONDS], result[KNOWN] = row[SECONDS], self.weight
        return result.astype(np.float32)
