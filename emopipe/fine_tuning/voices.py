"""The voices of labelled sounds and films, heard as `emopipe predict` and a stream hear them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from emopipe.fine_tuning.files import usable
from emopipe.fine_tuning.labelled import Labelled
from emopipe.models.speech.features import Floats
from emopipe.predictor.inputs import read_audio
from emopipe.predictor.options import Options
from emopipe.predictor.voice import VoicePredictor
from emopipe.stages.speech.inference import SpeechInference
from emopipe.stages.speech.windows import SpeechWindows


class Voices(NamedTuple):
    """What the network takes of the segments of speech in sounds, and of their windows.

    Attributes:
        sounds: those in which somebody speaks.
        files: the sound of each row.
        rows: vectors float32 [D].
        whole: bool [rows], whether each is of a segment, and not of a window.
    """

    sounds: list[Labelled]
    files: list[Labelled]
    rows: list[Floats]
    whole: Tensor


def read_voices(root: Path, files: Sequence[Labelled], left_out: Counter[str], weights: Path | None = None) -> Voices:
    """What a model, by default the shipped one, hears in files. What cannot be used is named in the log, and counted in
    `left_out`.

    Raises:
        DataError: nothing is left.
    """
    predictor = VoicePredictor(
        weights, Options("cpu", "training", None, 1), SpeechWindows.Settings(), SpeechInference.Settings(), None
    )

    def heard(path: Path) -> list[tuple[Floats, bool]] | None:
        segments, windows = predictor.hear(read_audio(path))
        both = [*((row, True) for row in segments), *((row, False) for row in windows)]
        return both if segments and windows else None

    voices = usable(root, files, left_out, "nobody speaks", heard)
    rows = [(each, row, whole) for each, both in voices for row, whole in both]
    return Voices(
        [each for each, _ in voices],
        [each for each, _, _ in rows],
        [row for _, row, _ in rows],
        torch.tensor([whole for _, _, whole in rows]),
    )
