"""Clips of speech whose features tell where they come from."""

import numpy as np

from emopipe.training.speech.clips import Clip
from emopipe.training.speech.layouts import parse


def make_clips(count: int = 10, frames: int = 350, speech: tuple[int, int] = (100, 260)) -> list[Clip]:
    """Every coefficient of a frame is the frame's number, the second one the clip's."""
    clips = []
    for number in range(count):
        mfcc = np.repeat(np.arange(frames, dtype=np.float32)[:, None], 40, axis=1)
        mfcc[:, 1] = number
        clips.append(Clip(parse(f"03-01-{number % 8 + 1:02d}-01-01-01-01.wav"), mfcc, [], speech))
    return clips
