"""Clips of emotional speech: who said what and how, its features, where in it there is speech."""

import msgspec

from emopipe.models.speech.features import Floats


class Name(msgspec.Struct, frozen=True):
    """The codes of a clip's file name; each field is the code in the name (`emotion` 1 to 8)."""

    modality: int
    channel: int
    emotion: int
    intensity: int
    statement: int
    repetition: int
    actor: int

    @property
    def label(self) -> int:
        """The emotion's index in `emopipe.models.labels.SPEECH`."""
        return self.emotion - 1

    @property
    def sex(self) -> str:
        """Actors with an odd number are male."""
        return "male" if self.actor % 2 else "female"


class Clip(msgspec.Struct):
    """One recording: its name, its MFCC [T, coefficients], and where in it a stream would hear speech.

    `windows` are the frames (first, end) of the windows that `SpeechWindower` cuts from it, the very ones that a
    stream gives the network; `speech` is from the first one's start to the last one's end. Where it cuts none,
    `speech` is the whole clip, so that a clip that went unheard still counts when clips are tested.
    """

    name: Name
    mfcc: Floats
    windows: list[tuple[int, int]]
    speech: tuple[int, int]


class Corpus(msgspec.Struct):
    """The clips that could be read, in the order of their names, and those that could not, with the reason."""

    clips: list[Clip]
    skipped: dict[str, str]
    sha256: str

    @property
    def actors(self) -> list[int]:
        return sorted({clip.name.actor for clip in self.clips})
