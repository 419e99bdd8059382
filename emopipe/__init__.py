"""emopipe: what a face and a voice express, on one time line, with honest confidence.

The packages are `pipeline` (the runtime), `stages`, `models` and `training`; this one is the command, and
`EmotionPredictor` for use from Python.
"""

from typing import Any

__all__ = ["EmotionPredictor"]


def __getattr__(name: str) -> Any:
    if name == "EmotionPredictor":  # only when asked for: the command's other verbs need no decoder and no arrays
        from emopipe.predictor.emotion_predictor import EmotionPredictor

        return EmotionPredictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
