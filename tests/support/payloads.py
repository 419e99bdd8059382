"""Payloads for tests of messages and links."""

from emopipe.pipeline.message import Payload


class Other(Payload):
    """One number."""

    x: int
