"""Clips of emotional speech: who said what and how, its features, where in it there is speech."""

import msgspec
import numpy as np
import numpy.typing as npt

from emopipe.models.speech.embedding import EmbeddingSpec
from emopipe.models.speech.features import Floats

Halves = npt.NDArray[np.float16]
"""Half precision: what is kept of a corpus takes half the space, and no figure changes."""


class Name(msgspec.Struct, frozen=True):
    """What a clip's file name says.

    `corpus` is a layout's name (`emopipe.training.speech.layouts`), `speaker` holds it too and so is one person's alone
    ("emodb/03"), `label` is the emotion's index in `emopipe.models.labels.SPEECH`, `stem` the file's name without its
    ending. `sex` ("male", "female") and `intensity` (the corpus's own code) are empty where the name does not say.
    """

    corpus: str
    speaker: str
    label: int
    stem: str
    sex: str = ""
    intensity: str = ""


class Clip(msgspec.Struct):
    """One recording: its name, its MFCC [T, coefficients], and where in it a stream would hear speech.

    `windows` are the frames (first, end) of the windows that `SpeechWindower` cuts from it, the very ones that a
    stream gives the network; `speech` is from the first one's start to the last one's end. Where it cuts none,
    `speech` is the whole clip, so that a clip that went unheard still counts when clips are tested. `vectors` float16
    [1 + windows, D] are what an embedder makes of the speech and of each window, `degraded` [D] what it makes of the
    speech after some mishaps (`emopipe.training.speech.degradation`); both are empty where none was asked, and the
    latter is made of some clips only.
    """

    name: Name
    mfcc: Floats
    windows: list[tuple[int, int]]
    speech: tuple[int, int]
    vectors: Halves = msgspec.field(default_factory=lambda: np.empty((0, 0), np.float16))
    degraded: Halves = msgspec.field(default_factory=lambda: np.empty(0, np.float16))

    def rows(self, kind: type) -> list[Floats]:
        """What a network takes (`emopipe.models.speech.model`) of the whole speech, then of each window.

        `kind` is that of the network's features: `MfccSpec` or `EmbeddingSpec`.
        """
        if kind is EmbeddingSpec:
            return list(self.vectors.astype(np.float32))
        return [self.mfcc[first:end] for first, end in (self.speech, *self.windows)]


class Corpus(msgspec.Struct):
    """The clips that could be read, by corpus and in the order of their names, and those that could not, with the
    reason."""

    clips: list[Clip]
    skipped: dict[str, str]
    sha256: str

    @property
    def speakers(self) -> list[str]:
        return sorted({clip.name.speaker for clip in self.clips})

    @property
    def corpora(self) -> list[str]:
        return sorted({clip.name.corpus for clip in self.clips})
