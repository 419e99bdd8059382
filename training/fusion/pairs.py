"""Clips of which both the sound and the face are there: RAVDESS's speech, and a network's answers frame by frame.

The faces come as a table (Parquet) with a row a frame: `clip` (the audio-visual clip's name, 01-01-EE-II-SS-RR-AA),
`frame` (counts from 1), and a probability for each label of `labels.FACE`. Sound and face of one recording share all
codes but the first, which says what is in the file; their times are those of the recording, so they are real pairs.
"""

import hashlib
import logging
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from emopipe.models.calibration import Doubles
from emopipe.models.fusion.model import centred_log_ratios
from emopipe.models.labels import FACE
from emopipe.models.speech.embedding import Embedder
from emopipe.models.speech.features import MfccSpec
from emopipe.pipeline.errors import DataError
from emopipe.training.speech import corpora
from emopipe.training.speech.clips import Clip, Name
from emopipe.training.speech.ravdess import Codes, parse_codes

logger = logging.getLogger(__name__)

FRAME_RATE = 30.0  # frames a second, of the table
TABLE_FORMAT = (
    f"expected a Parquet file with the columns clip (01-01-EE-II-SS-RR-AA), frame (from 1, {FRAME_RATE:.0f} a second) "
    f"and {', '.join(FACE)}, as a network for faces answered frame by frame"
)


class FaceTrack(NamedTuple):
    """One face over a clip: times [T] (s) that rise, and distributions [T, 7] over `labels.FACE`."""

    times: Doubles
    probabilities: Doubles

    @property
    def evidence(self) -> Doubles:
        """Centred log-ratios [T, 7]."""
        return centred_log_ratios(self.probabilities)


class Pair(NamedTuple):
    """One recording: its sound and its face."""

    clip: Clip
    face: FaceTrack

    @property
    def name(self) -> Name:
        return self.clip.name


class Pairs(NamedTuple):
    """All recordings of which both are there, in the order of their names, and what was left out.

    Attributes:
        pairs: the recordings.
        notes: what a reader has to know, a sentence each.
        sha256: of names, sounds and faces.
    """

    pairs: list[Pair]
    notes: list[str]
    sha256: str

    @property
    def actors(self) -> list[str]:
        return sorted({pair.name.speaker for pair in self.pairs})

    @property
    def speakers(self) -> torch.Tensor:
        """The actor of each recording [N], as its place in `actors`."""
        return torch.tensor([self.actors.index(pair.name.speaker) for pair in self.pairs])


def read(data: Path, faces: Path, embedder: Embedder | None = None) -> Pairs:
    """The recordings that are in both `data` (see `corpora.read`) and `faces`; RAVDESS alone has both.

    Raises:
        DataError: either is missing, damaged or empty, or they have no recording in common.
    """
    tracks, dropped = read_faces(faces)
    corpus = corpora.read(data, MfccSpec(), embedder=embedder)[1.0]
    clips = [clip for clip in corpus.clips if clip.name.corpus == "ravdess"]
    found = [(clip, tracks.pop(_key(parse_codes(clip.name.stem)), None)) for clip in clips]
    pairs = [Pair(clip, face) for clip, face in found if face is not None]
    if not pairs:
        raise DataError(
            f"{faces}: none of its {len(tracks)} clips has its sound in {data} ({len(found)} clips); they must be of "
            "the same recordings, 01-01-EE-II-SS-RR-AA and 03-01-EE-II-SS-RR-AA"
        )
    notes = [f"{len(pairs)} recordings have both a face and a voice."]
    if lonely := len(found) - len(pairs):
        notes.append(f"{lonely} clips have a voice only and were left out.")
    if tracks:
        notes.append(f"{len(tracks)} clips have a face only and were left out.")
    if dropped:
        notes.append(f"{dropped} rows of faces were no distributions or of no clip of speech, and were left out.")
    for note in notes[1:]:
        logger.warning("%s: %s", faces, note)
    digest = hashlib.sha256(corpus.sha256.encode())
    for pair in pairs:
        digest.update(repr(pair.name).encode() + pair.face.times.tobytes() + pair.face.probabilities.tobytes())
    return Pairs(pairs, notes, digest.hexdigest())


def with_faces(found: Pairs, faces: Path) -> list[Pair]:
    """The same recordings with the faces of another table.

    Raises:
        DataError: the table is missing or damaged, or lacks one of the recordings.
    """
    tracks, _ = read_faces(faces)
    keys = [_key(parse_codes(pair.name.stem)) for pair in found.pairs]
    if lacking := [pair.name.stem for pair, key in zip(found.pairs, keys, strict=True) if key not in tracks]:
        raise DataError(
            f"{faces}: {len(lacking)} of {len(keys)} recordings are not in it, such as {lacking[0]}; make it anew from "
            "the table that is given as `faces`"
        )
    return [pair._replace(face=tracks[key]) for pair, key in zip(found.pairs, keys, strict=True)]


def read_faces(path: Path) -> tuple[dict[tuple[int, ...], FaceTrack], int]:
    """The track of each clip's face, by the codes that its sound shares; and how many rows were of no use.

    Raises:
        DataError: the file is missing, is not such a table, or has nothing of use.
    """
    table = _columns(path)
    probabilities = np.stack([table[label] for label in FACE], 1).astype(np.float64)
    totals = probabilities.sum(1)
    good = np.isfinite(probabilities).all(1) & (probabilities >= 0).all(1) & (abs(totals - 1) < 0.05)
    frames = table["frame"].astype(np.float64)
    good &= np.isfinite(frames) & (frames >= 1)
    clips, owners = np.unique(table["clip"].astype(str), return_inverse=True)
    tracks: dict[tuple[int, ...], FaceTrack] = {}
    for place, stem in enumerate(clips):
        try:
            name = parse_codes(str(stem))
        except DataError:
            name = None
        rows = np.flatnonzero((owners == place) & good)
        if name is None or name.channel != 1:
            good[rows] = False
            continue
        _, firsts = np.unique(frames[rows], return_index=True)  # in the order of time, each frame once
        rows = rows[firsts]
        if len(rows):
            tracks[_key(name)] = FaceTrack((frames[rows] - 1) / FRAME_RATE, probabilities[rows] / totals[rows, None])
    if not tracks:
        raise DataError(f"{path}: no clip of RAVDESS speech in its {len(frames)} rows; {TABLE_FORMAT}")
    return tracks, int((~good).sum())


def _columns(path: Path) -> dict[str, NDArray[np.generic]]:
    if not path.exists():
        raise DataError(f"{path}: no such file; {TABLE_FORMAT}")
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise DataError(
            f"{path}: reading Parquet needs pyarrow; install it with `pip install 'emopipe[train]'`"
        ) from None
    try:
        table = pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: not a whole Parquet file ({str(error).splitlines()[0]}); get it again") from None
    wanted = ["clip", "frame", *FACE]
    if missing := [name for name in wanted if name not in table.column_names]:
        raise DataError(f"{path}: no column {', '.join(missing)}; {TABLE_FORMAT}")
    return {name: table[name].to_numpy(zero_copy_only=False) for name in wanted}


def _key(name: Codes) -> tuple[int, ...]:
    return (name.channel, name.emotion, name.intensity, name.statement, name.repetition, name.actor)
