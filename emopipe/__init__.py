"""emopipe: what a face and a voice express, on one time line, with honest confidence.

Its rooms are `pipeline` (the runtime), `stages`, `models` and `training`, and for users of the whole the command's
verbs, `EmotionPredictor`, and `read`, which makes a data frame of results.
"""

from typing import Any

__all__ = ["EmotionPredictor", "read"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "EmotionPredictor":  # only when asked for: the command's other verbs need no decoder and no arrays
        from emopipe.predictor.emotion_predictor import EmotionPredictor

        return EmotionPredictor
    if name == "read":
        from emopipe.lab.frames import read

        return read
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
