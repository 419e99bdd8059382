"""Labels, networks, loading and saving; shipped weights are in `weights/`."""

from typing import Any


def __getattr__(name: str) -> Any:
    # It is made of models and of the stages' parts, so it stands above both; here it can be found.
    if name == "EmotionPredictor":
        from emopipe.predictor import EmotionPredictor

        return EmotionPredictor
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
