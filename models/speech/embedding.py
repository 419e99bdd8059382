"""One vector for a stretch of speech: how it is said, and what the voice encoder makes of it.

Its first two numbers say how much was heard: the seconds of speech, and how far the vector has been normalised by what
is known of its speaker (0 to 1; `emopipe.models.speech.speaker`).
"""

import hashlib
from pathlib import Path

import msgspec
import numpy as np

from emopipe.models.assets import voice_encoder_sha256
from emopipe.models.speech.encoder import WIDTH, Encoder
from emopipe.models.speech.features import Floats
from emopipe.models.speech.prosody import FUNCTIONALS, functionals


class EmbeddingSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a vector holds; a checkpoint carries what it was trained on.

    `layers` of the encoder, 0 (before the first) to 6; `encoder` is the SHA-256 of its file.
    """

    layers: tuple[int, ...] = (1, 2, 3)
    encoder: str = voice_encoder_sha256()

    @property
    def size(self) -> int:
        """Numbers in a vector: two of how much was heard, functionals, then mean and deviation of each layer."""
        return 2 + FUNCTIONALS + 2 * WIDTH * len(self.layers)


class Embedder:
    """Makes the vector float32 [size] of mono sound float32 [n] in -1..1 at 16 kHz.

    Raises:
        ModelError: as `Encoder`.
    """

    def __init__(self, spec: EmbeddingSpec | None = None, path: Path | None = None) -> None:
        self.spec = spec or EmbeddingSpec()
        self._encoder = Encoder(self.spec.layers, path)

    @property
    def fingerprint(self) -> str:
        """Of all that a vector depends on but the sound."""
        return hashlib.sha256(msgspec.json.encode([_VERSION, self.spec])).hexdigest()

    def __call__(self, samples: Floats) -> Floats:
        layers = self._encoder(samples)
        moments = np.stack([layers.mean(1), layers.std(1)], 1)
        return np.concatenate([[len(samples) / 16000, 0.0], functionals(samples), moments.ravel()]).astype(np.float32)


_VERSION = 1  # of the functionals and of how layers are pooled: raise it when either changes


SECONDS, KNOWN = 0, 1
"""Where in a vector how much was heard stands."""


def seconds_of(row: Floats) -> float:
    """How long the speech lasted of which a row was made: a vector's first number, or MFCC's frames of 10 ms."""
    return float(row[SECONDS]) if row.ndim == 1 else 0.01 * len(row)
