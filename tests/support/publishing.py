"""The stage `publish`, alone."""

from typing import Any

from emopipe.pipeline.message import Message
from emopipe.pipeline.testing import run_stage
from emopipe.stages.sinks.publish import Publish


def publisher(endpoint: str, **settings: Any) -> Publish:
    return Publish(Publish.Settings(endpoint=endpoint, **settings), label="results")


def publish(endpoint: str, *messages: Message, **settings: Any) -> Publish:
    stage = publisher(endpoint, **{"subscribers": 1, **settings})
    run_stage(stage, [("emotions", message) for message in messages])
    return stage
