"""When a stream's running time began, by our monotonic clock: what its results' moments are counted from."""

from emopipe.pipeline.message import Message


class Origins:
    """Running time 0 of each stream (monotonic ns), told by the messages themselves.

    The first hop of a live result says when the picture was seen, or the end of the sound heard; less the result's pts
    that is when running time began. A window of speech may end before the block of sound that completes it, so
    the earliest that any result says is right.
    """

    def __init__(self) -> None:
        self._origins: dict[str, int] = {}

    def origin(self, message: Message) -> int:
        """That of the stream of a result, of which this is the newest."""
        said = message.trace[0].received - message.pts
        known = self._origins[message.stream] = min(self._origins.get(message.stream, said), said)
        return known

    def forget(self, stream: str) -> None:
        """The stream has ended, or its time begins anew."""
        self._origins.pop(stream, None)
