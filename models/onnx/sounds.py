"""Windows of speech as a model of another maker takes them."""

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from emopipe.models.onnx.files import OnnxFile
from emopipe.pipeline.errors import ModelError

Features = Literal["auto", "sound", "mfcc"]

COEFFICIENTS = 40  # of the MFCC that the stage speech-windows makes
Floats = NDArray[np.float32]


class SoundInput(NamedTuple):
    """What a model is fed of a window.

    Attributes:
        features: the sound, 16 kHz mono in -1..1, or MFCC.
        shape: of the input; a length that varies is the window's own.
        time: the axis of samples or frames.
        standardised: whether each window is brought to mean 0 and deviation 1, as wav2vec2 and its like want it.
    """

    features: Literal["sound", "mfcc"]
    shape: tuple[int | None, ...]
    time: int
    standardised: bool

    def read(self, mfcc: Floats, sound: Floats) -> Floats:
        """A window, as MFCC [frames, 40] and as sound [samples], as one row of the input.

        Where the input has one length, of a longer window the newest part is taken, and a shorter one is preceded by
        silence (of MFCC: by its first frame).
        """
        values = sound[:, None] if self.features == "sound" else mfcc
        if (length := self.shape[self.time]) is not None:
            values = values[-length:]
            missing = max(0, length - len(values))
            if missing:
                before = np.zeros_like(values[:1]) if self.features == "sound" else values[:1]
                values = np.concatenate([np.repeat(before, missing, axis=0), values])
        if self.standardised:
            wide = values.astype(np.float64)
            values = ((wide - wide.mean()) / np.sqrt(wide.var() + 1e-7)).astype(np.float32)
        row = values[:, 0] if len(self.shape) == 2 else values.T if self.time == 2 else values
        return np.ascontiguousarray(row[None], np.float32)


def sound_input(file: OnnxFile, features: Features, standardised: bool) -> SoundInput:
    """What the one input of a file is fed, by its shape, and by the settings where that leaves a choice.

    Raises:
        ModelError: it takes neither sound nor MFCC of emopipe's, or others than the settings say.
    """
    value = file.input()
    shape = value.shape
    wanted = f"float32 of [1, samples] (16 kHz mono) or of [1, frames, {COEFFICIENTS}] (MFCC)"
    if value.dtype != "float32" or len(shape) not in (2, 3) or shape[0] not in (None, 1):
        raise ModelError(f"{file.path}: the input {value} takes no windows of speech; {wanted} would")
    is_mfcc = len(shape) == 3 and COEFFICIENTS in shape[1:]
    is_sound = len(shape) == 2 or 1 in shape[1:]
    chosen = features if features != "auto" else "mfcc" if is_mfcc else "sound"
    if not (is_mfcc if chosen == "mfcc" else is_sound):
        raise ModelError(f"{file.path}: the input {value} does not take {chosen}; {wanted} would")
    if len(shape) == 2:
        time = 1
    else:
        other = COEFFICIENTS if chosen == "mfcc" else 1
        time = 2 if shape[1] == other else 1
    return SoundInput(chosen, shape, time, standardised)
