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

_LAYOUT = 2  # of these files, and of what is computed: raise it when either changes


def fingerprint(sounds: Sequence[tuple[str, str]], spec: MfccSpec, embedder: str) -> str:
    """Of the paths and checksums of all sounds, the settings of their features, and what makes their vectors."""
    settings = msgspec.json.encode([_LAYOUT, spec, embedder, list(sounds)])
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
    return cache / f"voices-{key}-{speed:g}.npz"


def _write(path: Path, corpus: Corpus) -> None:
    clips = corpus.clips
    about = json.dumps({"skipped": corpus.skipped, "sha256": corpus.sha256}).encode()
    with path.open("wb") as file:
        np.savez(
            file,
            about=np.frombuffer(about, np.uint8),
            names=np.frombuffer(msgspec.json.encode([clip.name for clip in clips]), np.uint8),
            mfcc=np.concatenate([clip.mfcc for clip in clips]),
            frames=np.array([len(clip.mfcc) for clip in clips]),
            speech=np.array([clip.speech for clip in clips]),
            windows=np.array([window for clip in clips for window in clip.windows], np.int64).reshape(-1, 2),
            counts=np.array([len(clip.windows) for clip in clips]),
            vectors=np.concatenate([clip.vectors for clip in clips]),
            degraded=np.concatenate([clip.degraded for clip in clips]),
            degraded_sizes=np.array([len(clip.degraded) for clip in clips]),
        )


def _read(path: Path) -> Corpus:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as kept:
        about = json.loads(kept["about"].tobytes())
        mfcc = np.split(kept["mfcc"], np.cumsum(kept["frames"])[:-1])
        windows = np.split(kept["windows"], np.cumsum(kept["counts"])[:-1])
        names = msgspec.json.decode(kept["names"].tobytes(), type=list[Name])
        vectors = kept["vectors"]
        rows = np.cumsum(1 + kept["counts"])[:-1] if len(vectors) else np.zeros(len(names) - 1, np.int64)
        degraded = np.split(kept["degraded"], np.cumsum(kept["degraded_sizes"])[:-1])
        parts = zip(names, mfcc, windows, kept["speech"].tolist(), np.split(vectors, rows), degraded, strict=True)
        clips = [
            Clip(name, frames, [(first, end) for first, end in cut.tolist()], (speech[0], speech[1]), made, spoilt)
            for name, frames, cut, speech, made, spoilt in parts
        ]
    return Corpus(clips, about["skipped"], about["sha256"])
