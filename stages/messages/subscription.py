"""subscription: takes what another run publishes, on this machine or, with keys, on another."""

from typing import Annotated, ClassVar

import zmq

from emopipe.pipeline.access.addresses import is_loopback, split_tcp
from emopipe.pipeline.access.allow_list import expand, read_key
from emopipe.pipeline.access.curve import be_client
from emopipe.pipeline.access.keys import read_pair
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.message import MAX_HEADER_BYTES, Codec, Message, WireError
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.source import Source
from emopipe.stages.messages.promise import OutputPromises
from emopipe.stages.sinks.endpoint import endpoint_problem
from emopipe.stages.sinks.publish import TOPIC_PREFIX
from emopipe.stages.types import Emotions

POLL_MS = 100
BATCH_MESSAGES = 64
HWM = 10_000  # messages that may wait here; more than a publisher keeps


class Subscription(Source):
    """Takes the results that the stage `publish` of another run sends, as they were sent.

    It begins with what comes once it is there, and ends with that run. What it has missed, as `seq` shows, is counted
    (`missed`). A message that is none, or breaks a promise, is dropped and counted (`refused`): it is another's program
    that sends it.
    """

    name = "subscription"
    outputs: ClassVar[dict[str, Port]] = {"emotions": Port(Emotions, "the results that are published")}

    class Settings(Source.Settings, kw_only=True):
        endpoint: Annotated[
            str,
            about("of the stage `publish`: tcp://HOST:PORT or ipc://PATH; beyond this machine with keys", min_length=1),
        ] = "tcp://127.0.0.1:5560"
        secret_key: Annotated[str, about("file of our secret key (CURVE)")] = ""
        server_key: Annotated[str, about("the publisher's public key, or its file")] = ""

        def check(self) -> list[Invalid]:
            if problem := endpoint_problem(self.endpoint, keys=True):
                return [Invalid("endpoint", problem)]
            own = self.endpoint.startswith("ipc:") or is_loopback(split_tcp(self.endpoint)[0])
            if bool(self.secret_key) != bool(self.server_key) or not (own or self.secret_key):
                missing = "server_key" if self.secret_key else "secret_key"
                return [
                    Invalid(missing, f"missing: {self.endpoint} takes secret_key, our own, and server_key, its own")
                ]
            return []

    settings: Settings

    async def setup(self) -> None:
        settings = self.settings
        self._codec = Codec(Emotions)
        self._promises = OutputPromises()
        self._next: dict[str, int] = {}  # the seq that a stream goes on with
        self._context = zmq.Context()
        self.exit.push_async_callback(self.compute, self._context.term)
        self._socket = self._context.socket(zmq.SUB)
        self.exit.callback(self._socket.close, 0)
        self._socket.setsockopt(zmq.RCVHWM, HWM)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_HEADER_BYTES)
        self._socket.setsockopt(zmq.IPV6, int("[" in settings.endpoint))
        if settings.secret_key:
            be_client(self._socket, read_pair(expand(settings.secret_key)), read_key(settings.server_key))
        self._socket.subscribe(TOPIC_PREFIX)
        try:
            self._socket.connect(settings.endpoint)
        except zmq.ZMQError as error:
            raise EmopipeError(f"endpoint: {settings.endpoint} cannot be connected to: {error.strerror}") from None

    async def run(self) -> None:
        while True:
            for parts in await self.compute(self._receive):
                message = self._decode(parts)
                if message is None:
                    self.counters["refused"] += 1
                elif message.stream:
                    self._count(message)
                    await self.forward("emotions", message)
                elif message.kind == "eos":
                    return

    def _receive(self) -> list[list[bytes]]:
        """What has come, after a short wait where that is nothing."""
        taken: list[list[bytes]] = []
        if self._socket.poll(POLL_MS):
            while len(taken) < BATCH_MESSAGES and self._socket.poll(0):
                taken.append(self._socket.recv_multipart(zmq.NOBLOCK))
        return taken

    def _decode(self, parts: list[bytes]) -> Message | None:
        """The message, if it is one and is of the stream that its topic names."""
        topic, *rest = parts
        try:
            message = self._codec.decode(rest)
        except WireError:
            return None
        if topic != TOPIC_PREFIX + message.stream.encode() or self._promises.problem(message):
            return None
        return message

    def _count(self, message: Message) -> None:
        stream = message.stream
        missed = message.seq - self._next.get(stream, message.seq)
        self.count("missed", stream, max(missed, 0))
        self.count("taken", stream)
        if message.kind == "eos":
            self._next.pop(stream, None)
        else:
            self._next[stream] = message.seq + (message.kind in ("data", "gap"))
