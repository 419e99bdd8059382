"""Keeping what was computed of a data set of sounds, so that only the first training waits for it."""

import hashlib
import json
import logging
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from emopipe.models.speech.features import MfccSpec
from emopipe.pipeline.files import replacing
from emopipe.training.speech.clips import Clip, Corpus, Name

log = logging.getLogger(__name__)

_LAYOUT = 1  # of these files, and of what is computed: raise it when either changes


def fingerprint(sounds: Sequence[tuple[str, str]], spec: MfccSpec) -> str:
    """The digest of the paths and checksums of all sounds, and of the settings of their features."""
    settings = msgspec.json.encode([_LAYOUT, spec, list(sounds)])
    return hashlib.sha256(settings).hexdigest()[:32]


def load(cache: Path, key: str, speeds: Sequence[float]) -> dict[float, Corpus] | None:
    """The corpora of these speeds, or none where one is not kept or is damaged."""
    found = {}
    for speed in speeds:
        path = _path(cache, key, speed)
        if not path.is_file():
            return None
        try:
            found[speed] = _read(path)
        except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile, msgspec.MsgspecError):
            log.warning("%s: damaged; made anew", path)
            return None
    return found


def keep(cache: Path, key: str, corpora: Mapping[float, Corpus]) -> None:
    """Write the corpora; where that fails, say so and go on without."""
    for speed, corpus in corpora.items():
        path = _path(cache, key, speed)
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with replacing(path) as file:
                _write(file, corpus)
        except OSError as error:
            log.warning("%s: not kept (%s)", path, error.strerror)


def _path(cache: Path, key: str, speed: float) -> Path:
    return cache / f"ravdess-{key}-{speed:g}.npz"


def _write(path: Path, corpus: Corpus) -> None:
    clips = corpus.clips
    about = json.dumps({"skipped": corpus.skipped, "sha256": corpus.sha256}).encode()
    with path.open("wb") as file:
        np.savez(
            file,
            about=np.frombuffer(about, np.uint8),
            names=np.array([msgspec.structs.astuple(clip.name) for clip in clips]),
            mfcc=np.concatenate([clip.mfcc for clip in clips]),
            frames=np.array([len(clip.mfcc) for clip in clips]),
            speech=np.array([clip.speech for clip in clips]),
            windows=np.array([window for clip in clips for window in clip.windows], np.int64).reshape(-1, 2),
            counts=np.array([len(clip.windows) for clip in clips]),
        )


def _read(path: Path) -> Corpus:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
        about = json.loads(kept["about"].tobytes())
        mfcc = np.split(kept["mfcc"], np.cumsum(kept["frames"])[:-1])
        windows = np.split(kept["windows"], np.cumsum(kept["counts"])[:-1])
        parts = zip(kept["names"].tolist(), mfcc, windows, kept["speech"].tolist(), strict=True)
        clips = [
            Clip(Name(*name), frames, [(first, end) for first, end in cut.tolist()], (speech[0], speech[1]))
            for name, frames, cut, speech in parts
        ]
    return Corpus(clips, about["skipped"], about["sha256"])
