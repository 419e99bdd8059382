"""Where the data sets of `train` and `evaluate` lie, and what to say of one that is not there."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emopipe.pipeline.errors import DataError, EmopipeError


@dataclass(frozen=True)
class DataSet:
    """A data set as its users get it: what it is called, where it is had, how it lies, and where it is looked for."""

    name: str
    home: str
    layout: str
    default: Path


_RAVDESS = DataSet(
    "RAVDESS, speech, audio only",
    'Zenodo, record 1188976, the file "Audio_Speech_Actors_01-24.zip"',
    "Actor_NN/03-01-EE-II-SS-RR-AA.wav (or .flac) in a folder or zip",
    Path("data/ravdess-speech.zip"),
)
DATA = {
    "facial": DataSet(
        "FER2013",
        'Kaggle, "Challenges in Representation Learning: Facial Expression Recognition Challenge"',
        "fer2013.csv, or train/<class>/Training_N.jpg and test/<class>/PublicTest_N.jpg in a folder or zip",
        Path("data/fer2013.zip"),
    ),
    "speech": _RAVDESS,
    "fusion": _RAVDESS,
}
"""By the model that is made from them."""

FACES = DataSet(
    "what a face classifier says of each frame of RAVDESS's audio-visual clips",
    "made from RAVDESS's video",
    "a Parquet file with a row for each frame: its clip, its number and a probability for each emotion",
    Path("data/ravdess-face-posteriors.parquet"),
)


def find(task: str, given: Path | None, config: Mapping[str, Any]) -> Path:
    """The data set of `task`: `--data`, else the config's `data`, else the usual place.

    Raises:
        DataError: nothing is there; the message says what is missing, where to get it and how it must lie.
    """
    return _there(DATA[task], "data", given, config)


def find_faces(given: Path | None, config: Mapping[str, Any]) -> Path:
    """The faces beside the voices, for fusion: `--faces`, else the config's `faces`, else the usual place.

    Raises:
        DataError: nothing is there.
    """
    return _there(FACES, "faces", given, config)


def _there(data: DataSet, key: str, given: Path | None, config: Mapping[str, Any]) -> Path:
    written = config.get(key, str(data.default))
    if not isinstance(written, str):
        raise EmopipeError(f"{key}: {written!r} is wrong: expected a path, such as {str(data.default)!r}")
    path = given or Path(written)
    if not path.exists():
        raise DataError(
            f"{path}: no such file or folder\n"
            f"  needed   {data.name}\n"
            f"  found at {data.home}\n"
            f"  expected {data.layout}\n"
            f"  then     give its path with --{key}, or as {key!r} in the config"
        )
    return path
