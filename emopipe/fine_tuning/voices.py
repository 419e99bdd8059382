"""The voices of labelled sounds and films, heard as `emopipe predict` and a stream hear them."""

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from emopipe.fine_tuning.folder import Labelled
from emopipe.models.speech.features import Floats
from emopipe.pipeline.errors import DataError, MediaError
from emopipe.predictor.inputs import read_audio
from emopipe.predictor.options import Options
from emopipe.predictor.voice import VoicePredictor
from emopipe.stages.speech.inference import SpeechInference
from emopipe.stages.speech.windows import SpeechWindows

log = logging.getLogger(__name__)


class Voice(NamedTuple):
    """What the network takes of a file's segments of speech, and of its windows: vectors float32 [D]."""

    file: Labelled
    segments: list[Floats]
    windows: list[Floats]


def read_voices(root: Path, files: Sequence[Labelled], left_out: Counter[str]) -> list[Voice]:
    """The files in which somebody speaks. What cannot be used is named in the log, and counted in `left_out`.

    Raises:
        DataError: nothing is left.
    """
    predictor = VoicePredictor(
        None, Options("cpu", "training", None, 1), SpeechWindows.Settings(), SpeechInference.Settings(), None
    )
    voices = []
    for each in files:
        try:
            segments, windows = predictor.hear(read_audio(each.path))
        except (MediaError, DataError) as error:
            log.warning("%s", error)
            left_out["unreadable"] += 1
            continue
        if not segments or not windows:
            log.warning("%s: nobody speaks in it", each.path)
            left_out["nobody speaks"] += 1
            continue
        voices.append(Voice(each, segments, windows))
    if not voices:
        raise DataError(
            f"{root}: no sound is left to learn from (in {len(files)} nobody speaks, or they are unreadable)"
        )
    return voices
