"""A small, right graph over the stages of tests.support.stages, for tests to load and to break."""

import tomllib
from typing import Any

GOOD = """
[pipeline]
name = "interview"
mode = "live"
latency_budget = 4

[stages.capture]
use = "tests.support.stages:Camera"
uri = "clip.mp4"

[stages.faces]
use = "tests.support.stages:Look"
inputs.video = "capture.video"
min_confidence = 0.75
process = "vision"

[stages.faces.queue]
video = { size = 2, policy = "drop-newest", max_age = 0.5 }

[stages.voice]
use = "tests.support.stages:Listen"
inputs.audio = "capture.audio"

[stages.fusion]
use = "tests.support.stages:Mix"
inputs.left = ["faces.scores", "voice.scores"]
process = "vision"

[stages.results]
use = "tests.support.stages:Show"
inputs.scores = "fusion.scores"
"""
CAMERA, LOOK, LISTEN, MIX, SHOW = (
    f"tests.support.stages:{name}" for name in ("Camera", "Look", "Listen", "Mix", "Show")
)


def good() -> dict[str, Any]:
    """The table of `GOOD`, fresh each time."""
    return tomllib.loads(GOOD)
