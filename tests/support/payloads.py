"""Payloads for tests of messages and links."""

from emopipe.pipeline.message import Message, Payload
from emopipe.pipeline.testing import data


class Other(Payload):
    """One number."""

    x: int


def item(pts: int, stream: str = "a") -> Message:
    """Data that says when it was."""
    return data(Other(x=pts), pts, stream=stream)
