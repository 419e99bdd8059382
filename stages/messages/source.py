"""messages: feeds recorded messages back into a graph, so that what happened is run again."""

from itertools import islice
from pathlib import Path
from typing import Annotated, ClassVar

from emopipe.pipeline.errors import EmopipeError, MediaError
from emopipe.pipeline.graph.registry import type_called
from emopipe.pipeline.message import Message, Payload, WireError
from emopipe.pipeline.port import ANY_PORT, Invalid, Port, about
from emopipe.pipeline.source import Source
from emopipe.pipeline.text import instead
from emopipe.stages import types
from emopipe.stages.messages.document import DocumentCodec, schema_problem
from emopipe.stages.messages.promise import OutputPromises
from emopipe.stages.messages.reader import MessageRecording, RecordedChannel, RecordedMessage

BATCH_MESSAGES = 64  # read and unpacked in one go


class Messages(Source):
    """Plays a recording of messages, each channel on an output of its name, in the order in which they came.

    What was sent is sent again, with stream, epoch, watermark and end; only the trace begins anew. So in replay mode
    whoever gets the messages of a recording says the same of them as of those that were recorded.
    """

    name = "messages"
    outputs: ClassVar[dict[str, Port]] = {ANY_PORT: Port(Payload, "each channel of the recording, under its name")}

    class Settings(Source.Settings, kw_only=True):
        path: Annotated[str, about("the .mcap file, made by `emopipe record` or the stage mcap", min_length=1)]
        realtime: Annotated[bool, about("at the pace at which they passed; otherwise as fast as possible")] = False
        partial: Annotated[
            bool, about("play a file that breaks off, as that of a killed run does, up to its last chunk")
        ] = False
        types: Annotated[
            dict[str, str], about('the payload types of your own, by channel: { "look.scores" = "my_stages:Score" }')
        ] = {}  # noqa: RUF012

        def check(self) -> list[Invalid]:
            channels = _channels(self.path, self.partial)
            return [
                Invalid("types", f"{self.path} has no channel {name}; {instead(name, channels)}")
                for name in self.types
                if name not in channels
            ]

        def reads(self) -> list[str]:
            return [str(Path(self.path).resolve())]

        def carries(self) -> dict[str, type[Payload]]:
            """The channels with their types; without those whose type is unknown.

            Raises:
                EmopipeError: the file cannot be played, or a type is not what it was.
            """
            found = {}
            for name, channel in _channels(self.path, self.partial).items():
                if (payload := self._type(name, channel.type)) is None:
                    continue
                if payload.__name__ != channel.type:
                    raise EmopipeError(
                        f"{self.path}: channel {name} holds {channel.type}, not {payload.__name__}; "
                        "name that type in `types`"
                    )
                if problem := schema_problem(channel.schema, payload):
                    raise EmopipeError(
                        f"{self.path}: channel {name} holds another version of {channel.type}: {problem}; "
                        "play it with the emopipe that has written it"
                    )
                found[name] = payload
            return found

        def _type(self, channel: str, name: str) -> type[Payload] | None:
            """The payload type of a channel: what the graph says, else emopipe's own of that name.

            What a file says is never imported.
            """
            if channel in self.types:
                return type_called(self.types[channel])
            found = vars(types).get(name)
            return found if isinstance(found, type) and issubclass(found, Payload) and found is not Payload else None

    settings: Settings

    async def setup(self) -> None:
        self._codecs = {name: DocumentCodec(port.type) for name, port in self.outputs.items()}
        self._promises = {name: OutputPromises() for name in self.outputs}
        self._recording = await self.exit.enter(MessageRecording, self.settings.path, self.settings.partial)
        await self.compute(self._recording.verify)  # before anything is sent, and anything overwritten
        unknown = [name for name in self._recording.channels if name not in self.outputs]
        if unknown:
            self.warn(
                f"{self.settings.path}: not played, since `types` does not say what it holds: {', '.join(unknown)}"
            )
        if not self._recording.complete:
            self.warn(f"{self.settings.path} breaks off; it is played up to there")

    async def run(self) -> None:
        recorded = self._recording.messages()
        began, first = self.host.clock.now(), None
        while batch := await self.compute(lambda: list(islice(recorded, BATCH_MESSAGES))):
            for each in batch:
                if each.channel not in self._codecs:
                    continue
                first = each.log_time if first is None else first
                if self.settings.realtime:
                    await self.host.clock.sleep_until(began + each.log_time - first)
                message = self._decode(each)
                self.progress(max(each.log_time - first, 0), self._recording.duration)
                if message.stream:  # the end of everything is said when all of it is sent
                    await self.forward(each.channel, message)
                    self.count("played", message.stream)

    def _decode(self, recorded: RecordedMessage) -> Message:
        """The message, if it is one, and keeps what those before it promised.

        Raises:
            MediaError: it does not.
        """
        where = f"{self.settings.path}: {recorded.channel}"
        try:
            message = self._codecs[recorded.channel].decode(recorded.data)
        except WireError as error:
            raise MediaError(f"{where}: {error}") from None
        if problem := self._promises[recorded.channel].problem(message):
            raise MediaError(f"{where}: {problem}")
        return message


def _channels(path: str, partial: bool) -> dict[str, RecordedChannel]:
    """The channels of a file.

    Raises:
        MediaError: it cannot be played.
    """
    recording = MessageRecording(path, partial)
    recording.close()
    return recording.channels
