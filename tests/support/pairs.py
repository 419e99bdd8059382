"""Small recordings for tests that have both a voice and a face, and networks for voices that leave actors out."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from emopipe.models.labels import FACE, SPEECH, SPEECH_TO_FACE
from tests.support.voices import ravdess

EMOTIONS = (1, 3, 5)


def faces(path: Path, actors: Sequence[int], emotions: Sequence[int] = EMOTIONS, share: float = 0.6) -> Path:
    """A table of faces that show each clip's emotion, noisily, from the 26th frame to the end of 1.8 s."""
    random = np.random.default_rng(0)
    columns: dict[str, list[object]] = {"clip": [], "frame": [], **{label: [] for label in FACE}}
    for actor in actors:
        for emotion in emotions:
            shown = FACE.index(SPEECH_TO_FACE[SPEECH[emotion - 1]])
            for frame in range(26, 55):
                distribution = 0.7 * share * np.eye(len(FACE))[shown] + (1 - 0.7 * share) * random.dirichlet(np.ones(7))
                columns["clip"].append(f"01-01-{emotion:02d}-01-01-01-{actor:02d}")
                columns["frame"].append(frame)
                for label, probability in zip(FACE, distribution, strict=True):
                    columns[label].append(float(probability))
    return table(path, columns)


def table(path: Path, columns: Mapping[str, Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(dict(columns)), path)
    return path


def voices(folder: Path, actors: Sequence[int], emotions: Sequence[int] = EMOTIONS) -> Path:
    return ravdess(folder, tuple(actors), tuple(emotions))
