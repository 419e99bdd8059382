"""How corpora of emotional speech name their files: who speaks, what is expressed.

A corpus is known by its file names alone, in any folder or zip; where a name lacks the speaker (SAVEE's `a01.wav`) or
the emotion, the folder it lies in says it.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

from emopipe.models.labels import SPEECH
from emopipe.pipeline.errors import DataError
from emopipe.training.speech.clips import Name


class NoClass(DataError):
    """A clip of an emotion that no class has (boredom, contempt): counted and left out."""

    REASON = "is none of the classes"


class NotSpeech(DataError):
    """A recording of the corpus that is a song or a film."""

    REASON = "not speech alone (expected a name that starts with 03-01)"


class Layout(NamedTuple):
    """One corpus's way of naming files.

    Attributes:
        name: of the corpus, as settings and speakers' names have it.
        title: … as people call it.
        example: a path of it.
        pattern: of the path's end, without the ending, in lower case. Its groups are `speaker`, `emotion`, and where
            they are there `level` (intensity).
        emotions: what the code in `emotion` means; none where no class has it.
        sex: of a speaker, "male", "female" or "" where it does not show.
        distinct: whether a file's name is the only one of its corpus; where it is not, its folder belongs to it.
    """

    name: str
    title: str
    example: str
    pattern: re.Pattern[str]
    emotions: Mapping[str, str | None]
    sex: Callable[[str], str] = lambda speaker: ""
    distinct: bool = True

    def parse(self, path: str) -> Name | None:
        """What `path` (inside the data) says; none where it is no path of this corpus.

        Raises:
            NoClass: the emotion is one that no class has.
            DataError: the path is of this corpus, but a code in it does not exist.
        """
        whole = PurePosixPath(path).with_suffix("")
        match = self.pattern.search("/" + str(whole).lower())
        if match is None:
            return None
        found = match.groupdict()
        code, speaker = found["emotion"], found["speaker"]
        if code not in self.emotions:
            raise DataError(f"emotion {code!r} does not exist in {self.title} (expected {', '.join(self.emotions)})")
        emotion = self.emotions[code]
        if emotion is None:
            raise NoClass(f"its emotion ({code!r} in {self.title}) {NoClass.REASON}")
        stem = whole.name if self.distinct else "/".join(whole.parts[-2:])
        return Name(
            corpus=self.name,
            speaker=f"{self.name}/{speaker}",
            label=SPEECH.index(emotion),
            stem=stem,
            sex=self.sex(speaker),
            intensity=found.get("level") or "",
        )


_RAVDESS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
_ENGLISH: dict[str, str | None] = {
    "neutral": "neutral",
    "happy": "happy",
    "happiness": "happy",
    "sad": "sad",
    "sadness": "sad",
    "angry": "angry",
    "anger": "angry",
    "fear": "fearful",
    "disgust": "disgust",
    "surprise": "surprised",
    "surprised": "surprised",
    "ps": "surprised",
    "boredom": None,
    "contempt": None,
}

LAYOUTS: tuple[Layout, ...] = (
    Layout(
        "ravdess",
        "RAVDESS",
        "Actor_01/03-01-05-02-01-01-01.wav",
        re.compile(r"/03-01-(?P<emotion>\d\d)-(?P<level>\d\d)-\d\d-\d\d-(?P<speaker>0[1-9]|1\d|2[0-4])$"),
        {f"{code:02d}": label for code, label in enumerate(_RAVDESS, 1)},
        lambda actor: "male" if int(actor) % 2 else "female",
    ),
    Layout(
        "tess",
        "TESS",
        "OAF_angry/OAF_back_angry.wav",
        re.compile(r"/(?P<speaker>oaf|yaf)_[a-z'-]+_(?P<emotion>[a-z]+)$"),
        _ENGLISH,
        lambda _: "female",
    ),
    Layout(
        "nemo",
        "nEMO",
        "EB0_anger_1.wav",
        re.compile(r"/(?P<speaker>[a-z]{2,3}\d?)_(?P<emotion>anger|fear|happiness|neutral|sadness|surprised?)_\d+$"),
        _ENGLISH,
    ),
    Layout(
        "emovo",
        "EMOVO",
        "f1/dis-f1-b1.wav",
        re.compile(r"/(?P<emotion>[a-z]{3})-(?P<speaker>[fm]\d)-[a-z]+\d?$"),
        {
            "neu": "neutral",
            "gio": "happy",
            "tri": "sad",
            "rab": "angry",
            "pau": "fearful",
            "dis": "disgust",
            "sor": "surprised",
        },
        lambda actor: "female" if actor.startswith("f") else "male",
    ),
    Layout(
        "emodb",
        "EmoDB",
        "03a01Fa.wav",
        re.compile(r"/(?P<speaker>\d\d)[ab]\d\d(?P<emotion>[a-z])[a-z]?$"),
        {"n": "neutral", "f": "happy", "t": "sad", "w": "angry", "a": "fearful", "e": "disgust", "l": None},
        lambda speaker: "male" if speaker in ("03", "10", "11", "12", "15") else "female",
    ),
    Layout(
        "crema-d",
        "CREMA-D",
        "1001_DFA_ANG_XX.wav",
        re.compile(r"/(?P<speaker>1\d{3})_[a-z]{3}_(?P<emotion>[a-z]{3})_(?P<level>[a-z]{2})$"),
        {"neu": "neutral", "hap": "happy", "sad": "sad", "ang": "angry", "fea": "fearful", "dis": "disgust"},
    ),
    Layout(
        "savee",
        "SAVEE",
        "DC/a01.wav",
        re.compile(r"/(?P<speaker>dc|je|jk|kl)[/_](?P<emotion>[a-z]{1,2})\d\d$"),
        {
            "n": "neutral",
            "h": "happy",
            "sa": "sad",
            "a": "angry",
            "f": "fearful",
            "d": "disgust",
            "su": "surprised",
        },
        lambda _: "male",
        distinct=False,
    ),
    Layout(
        "urdu",
        "URDU",
        "Angry/SM1_F10_A010.wav",
        re.compile(r"/(?P<speaker>s[mf]\d+)_f\d+_(?P<emotion>[a-z])\d+$"),
        {"n": "neutral", "h": "happy", "s": "sad", "a": "angry"},
        lambda speaker: "male" if speaker.startswith("sm") else "female",
    ),
)
"""Every corpus that is known, by what its files are called."""

_OTHER_RAVDESS = re.compile(r"/(?!03-01)0[1-3]-0[12](-\d\d){5}\.\w+$")
_NAMELESS = re.compile(r"/[a-z]{1,2}\d\d$")
"""A clip as SAVEE has them (`a01`), out of the folder that would say who speaks."""


def parse(path: str) -> Name:
    """What a path inside a data set says of its clip.

    Raises:
        NoClass: the emotion is one that no class has.
        NotSpeech: it is a song or a film.
        DataError: it is a path of no known corpus, lacks the speaker, or a code in it does not exist.
    """
    if _OTHER_RAVDESS.search("/" + path):
        raise NotSpeech(NotSpeech.REASON)
    for layout in LAYOUTS:
        if (name := layout.parse(path)) is not None:
            return name
    stem = PurePosixPath(path).with_suffix("")
    if _NAMELESS.search("/" + str(stem).lower()):
        raise DataError(
            "the name does not say who speaks; put each speaker's clips into a folder of that name, such as DC/a01.wav"
        )
    raise DataError(f"its name is of no known corpus ({', '.join(layout.example for layout in LAYOUTS)})")


WITH_CALM = frozenset(layout.name for layout in LAYOUTS if "calm" in layout.emotions.values())
"""Corpora that tell calm from neutral."""
