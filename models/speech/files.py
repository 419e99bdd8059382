"""Which files a model that hears voices is made of: a head is nothing without the voice encoder."""

from pathlib import Path

from emopipe.models import assets
from emopipe.models.checkpoint import WEIGHTS_DIR, read_card
from emopipe.pipeline.errors import ModelError

SHIPPED = WEIGHTS_DIR / "speech.safetensors"
FALLBACK = WEIGHTS_DIR / "speech-small.safetensors"
"""Where there is no voice encoder."""


def files_of(path: Path) -> list[Path]:
    """The files that `SpeechModel.load(path)` makes its model of; `path` alone where that will fail.

    Reads the checkpoint and hashes the voice encoder: about 20 ms.
    """
    try:
        head = read_card(path).network == "head"
    except ModelError:
        return [path]
    if not head:
        return [path]
    try:
        return [path, assets.voice_encoder_model()]
    except ModelError:
        return [path, FALLBACK] if path == SHIPPED else [path]
