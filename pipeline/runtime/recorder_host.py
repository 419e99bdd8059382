"""The host of one recorder: hands every message over as it came, and makes nothing of it."""

from emopipe.pipeline.message import Message
from emopipe.pipeline.runtime.host import StageHost
from emopipe.pipeline.runtime.transport import Inlet
from emopipe.pipeline.stage import Recorder


class RecorderHost(StageHost):
    """A recorder with its links: it knows no streams and no epochs, only where an input ends."""

    stage: Recorder

    async def _handle(self, inlet: Inlet, message: Message) -> None:
        await self.stage.record(inlet.port, message)
        if message.kind == "eos":
            inlet.ended = not message.stream
            self.stage.stream_counters.end(message.stream)
        elif message.kind == "data" and message.trace:
            self._delays.add(message, self.clock.now())
