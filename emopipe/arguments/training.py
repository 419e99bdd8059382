"""What `train` and `evaluate` share: the models, their data sets, and the settings in a config.

A data set that is missing is named with where to get it and how it must lie.
"""

import argparse
import importlib
import logging
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from emopipe.fine_tuning.data import OWN, is_own
from emopipe.pipeline.errors import DataError, EmopipeError

_PACKAGE = Path(__file__).parents[1]
TASKS = {
    "facial": "faces, on FER2013",
    "speech": "voices, on corpora of emotional speech",
    "fusion": "faces and voices together, on RAVDESS",
}


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
    "speech": DataSet(
        "corpora of emotional speech: RAVDESS, TESS, nEMO, EMOVO, EmoDB, CREMA-D, SAVEE, URDU",
        'their homes, such as Zenodo, record 1188976, the file "Audio_Speech_Actors_01-24.zip"',
        "files named as each corpus does (03-01-EE-II-SS-RR-AA.wav, 03a01Fa.wav, …) in a folder or zip, or several",
        Path("data/ravdess-speech.zip"),
    ),
    "fusion": _RAVDESS,
}
"""By the model that is made from them."""

FACES = DataSet(
    "what a face classifier says of each frame of RAVDESS's audio-visual clips",
    "made from RAVDESS's video",
    "a Parquet file with a row for each frame: its clip, its number and a probability for each emotion",
    Path("data/ravdess-face-posteriors.parquet"),
)


def find_data(task: str, given: Path | None, config: Mapping[str, Any]) -> Path:
    """The data set of `task`: `--data`, else the config's `data`, else the usual place.

    Raises:
        DataError: nothing is there; the message says what is missing, where to get it and how it must lie.
    """
    return _existing(DATA[task], "data", given, config)


def find_corpora(given: Sequence[Path] | None, config: Mapping[str, Any]) -> list[Path]:
    """The corpora of voices: `--data`, else the config's `data`, one path or a list, else the usual place.

    Raises:
        DataError: one of them is not there.
    """
    written = config.get("data")
    if given:
        paths = list(given)
    elif isinstance(written, list) and written and all(isinstance(path, str) for path in written):
        paths = [Path(path) for path in written]
    else:
        return [find_data("speech", None, config)]
    return [find_data("speech", path, {}) for path in paths]


def own_data(task: str, data: Path | Sequence[Path], people: Path | None) -> Path | None:
    """The folder or table of a user's own labelled files; None where the data is what `DATA` names.

    Raises:
        EmopipeError: there are people for what is none.
    """
    paths = [data] if isinstance(data, Path) else data
    if task != "fusion" and len(paths) == 1 and is_own(task, paths[0]):
        return paths[0]
    if people:
        raise EmopipeError(f"--people {people}: {data_name(data)} is not your own ({OWN}); leave it out")
    return None


def data_name(data: Path | Sequence[Path]) -> str:
    """What the data is called in a heading."""
    return data.name if isinstance(data, Path) else ", ".join(path.name for path in data)


def find_faces(given: Path | None, config: Mapping[str, Any]) -> Path:
    """The faces beside the voices, for fusion: `--faces`, else the config's `faces`, else the usual place.

    Raises:
        DataError: nothing is there.
    """
    return _existing(FACES, "faces", given, config)


def _existing(data: DataSet, key: str, given: Path | None, config: Mapping[str, Any]) -> Path:
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
            + (f"  or yours {OWN}\n" if data in (DATA["facial"], DATA["speech"]) else "")
            + f"  then     give its path with --{key}, or as {key!r} in the config"
        )
    return path


def add_data_arguments(options: argparse.ArgumentParser, task: str, *, config: bool) -> None:
    """`--data`, beside it `--people` for a user's own, and `--faces` where voices alone are not enough. `config` says
    whether one may name them too."""
    given = "the config's, else " if config else ""
    data, faces = DATA[task], FACES
    own = "" if task == "fusion" else f"; or your own: {OWN}"
    help_ = f"{data.name}: {data.layout}{own} (default: {given}{data.default})"
    several: dict[str, Any] = {"nargs": "+"} if task == "speech" else {}
    options.add_argument("--data", type=Path, metavar="PATH", help=help_, **several)
    if task != "fusion":
        help_ = "of your own folder/<class>/<file>: who is in which, a table with the columns file and person"
        options.add_argument("--people", type=Path, metavar="FILE", help=help_)
    else:
        help_ = f"{faces.name} (default: {given}{faces.default})"
        options.add_argument("--faces", type=Path, metavar="FILE", help=help_)


def training_module(task: str) -> ModuleType:
    """`training.<task>.train`, which imports torch and Lightning: only where there is something to do.

    Raises:
        EmopipeError: what training needs is not installed.
    """
    try:
        return importlib.import_module(f"emopipe.training.{task}.train")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "emopipe":
            raise
        raise EmopipeError(
            f"{error.name} is not installed, and training and evaluating need it: pip install 'emopipe[train]'"
        ) from None


@contextmanager
def naming(config: Path | None) -> Iterator[None]:
    """Name a config in what is said of its settings."""
    try:
        yield
    except EmopipeError as error:
        if config is None or type(error) is not EmopipeError or str(error).startswith(("--", str(config))):
            raise
        raise EmopipeError(f"{config}: {error}") from None


def read_config(path: Path) -> dict[str, Any]:
    """The settings in a TOML file: one of the user's own, else one that comes with emopipe and is called so.

    Raises:
        EmopipeError: no such file, or not TOML.
    """
    ready = {file.stem: file for file in sorted((_PACKAGE / "configs/training").glob("*.toml"))}
    named = {Path(name): file for name, file in ready.items()}
    named |= {Path("configs/training", file.name): file for file in ready.values()}
    try:
        with (path if path.exists() else named.get(path, path)).open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise EmopipeError(
            f"{path}: cannot be read ({error.strerror}); give your own file, or one of emopipe's: {', '.join(ready)}"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise EmopipeError(f"{path}: not valid TOML: {error}") from None


def log_to_stderr() -> None:
    """Show warnings of ours, such as files that are skipped, as single lines."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
