"""What an output has promised of its streams: a recording, or somebody else's program, is held to it as a stage is."""

import msgspec

from emopipe.pipeline.message import FOREVER, Message


class _StreamState(msgspec.Struct):
    """Where a stream of an output is: its epoch, and its watermark there (ns)."""

    epoch: int = 0
    watermark: int = 0


class OutputPromises:
    """The promises of one output: within an epoch nothing comes below a watermark, and neither goes back."""

    def __init__(self) -> None:
        self._streams: dict[str, _StreamState] = {}

    def problem(self, message: Message) -> str | None:
        """What a message breaks, as a sentence; None where it breaks nothing, and then it counts as sent."""
        state = self._streams.pop(message.stream, None) or _StreamState()
        problem = _problem(state, message)
        if problem is None and (message.kind != "eos" or message.epoch):
            self._streams[message.stream] = state
        return problem and f"stream {message.stream}, message {message.seq}: {problem}"


def _problem(state: _StreamState, message: Message) -> str | None:
    if message.kind == "eos":  # it may come back in its epoch, and in no earlier one
        state.epoch, state.watermark = max(state.epoch, message.epoch), 0
        return None
    if not message.stream:
        return "it is of no stream"
    if message.epoch < state.epoch:
        return f"epoch {message.epoch} after {state.epoch}"
    if message.epoch > state.epoch:
        state.epoch, state.watermark = message.epoch, 0
    if message.kind in ("data", "gap") and message.pts < state.watermark:
        return f"pts {message.pts} is below the watermark {state.watermark}"
    if not state.watermark <= message.watermark < FOREVER:
        return f"watermark {message.watermark} after {state.watermark}"
    state.watermark = message.watermark
    return None
