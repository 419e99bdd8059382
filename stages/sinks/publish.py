"""Results for everybody who subscribes, in any language; docs/wire-format.md is the contract."""

import asyncio
import errno
from collections import Counter
from typing import Annotated, ClassVar

import msgspec
import zmq

from emopipe.pipeline.access.addresses import in_use
from emopipe.pipeline.access.curve import CurveServer
from emopipe.pipeline.access.endpoint import key_problems, read_keys
from emopipe.pipeline.access.folder import run_folder
from emopipe.pipeline.errors import EmopipeError
from emopipe.pipeline.message import FOREVER, Codec, Hop, Message
from emopipe.pipeline.port import Invalid, Port, about
from emopipe.pipeline.stage import Stage
from emopipe.stages.sinks.clients import ClientCount
from emopipe.stages.sinks.endpoint import endpoint_problem, in_use_problem, ipc_path
from emopipe.stages.sinks.records import count_result
from emopipe.stages.sinks.subscriptions import MAX_PER_CONNECTION, SUBSCRIBING, Subscriptions
from emopipe.stages.types import Emotions

TOPIC_PREFIX = b"emotions/"
LINGER_MS = 500  # ms that the last messages have to leave; less than a worker has to close its stages


class _StreamState(msgspec.Struct):
    """How far a stream has come: the seq of what follows, and the newest message's epoch and watermark."""

    seq: int = 0
    epoch: int = 0
    watermark: int = 0


class Publish(Stage):
    """Publishes each result on a ZeroMQ PUB socket as [topic, header, arrays…], topic `emotions/<stream>`.

    Gaps and EOS are published too. It never waits for a subscriber: one that is too slow loses messages, and sees it
    by `seq`; one that subscribes without end is cut off. A replay that begins anew after a crash publishes nothing
    twice; what was on its way when the process died is lost, which `seq` shows as well. The trace ends with this
    stage, so a subscriber on the same host can tell how old a result is. Beyond loopback it is encrypted (CURVE), for
    those alone whose keys are allowed.
    """

    name = "publish"
    work_ms = 0.3
    resumes = True
    # Whoever watches a live run would rather miss a result than hold up the pipeline.
    inputs: ClassVar[dict[str, Port]] = {
        "emotions": Port(Emotions, "the results to publish", policy="drop-oldest", size=64)
    }

    class Settings(Stage.Settings, kw_only=True):
        endpoint: Annotated[
            str,
            about(
                "the address to bind: tcp://127.0.0.1:PORT, tcp://[::1]:PORT or ipc://PATH; any other with keys",
                min_length=1,
            ),
        ] = "tcp://127.0.0.1:5560"
        secret_key: Annotated[str, about("file of our secret key (CURVE): results are encrypted")] = ""
        allow: Annotated[
            str | list[str],
            about("who may subscribe: a folder of public key files, or a list of public keys and such files"),
        ] = ""
        hwm: Annotated[
            int, about("how far a subscriber may fall behind before it loses messages", unit="messages", ge=1)
        ] = 1000
        watermarks: Annotated[bool, about("also publish watermarks, where no result carries them")] = False
        subscribers: Annotated[int, about("how many subscriptions to wait for before the first message", ge=0)] = 0
        wait: Annotated[float, about("the longest wait for them", unit="s", gt=0, le=3600)] = 30.0

        def check(self) -> list[Invalid]:
            problem = endpoint_problem(self.endpoint, keys=bool(self.secret_key or self.allow))
            problems = [Invalid("endpoint", problem)] if problem else []
            return problems or key_problems(self.endpoint, self.secret_key, self.allow)

        def writes(self) -> list[str]:
            if path := ipc_path(self.endpoint):
                return [str(path.resolve())]
            return [self.endpoint.replace("//localhost:", "//127.0.0.1:")]

        def waits(self) -> float:
            return self.wait if self.subscribers else 0.0

    settings: Settings

    async def setup(self) -> None:
        if problems := self.settings.check():
            raise EmopipeError("; ".join(f"{key}: {text}" for key, text in problems))
        if problem := in_use_problem(self.settings.endpoint):
            raise EmopipeError(f"endpoint: {problem}")
        self._codec = Codec(Emotions)
        self._streams: dict[str, _StreamState] = {}  # those that have begun and not ended
        self._counts: Counter[str] = Counter()  # messages of each stream, in replay mode
        self._any_ended = bool(self.host.finished)
        self._subscribers = ClientCount(self.settings.subscribers)
        self._server: CurveServer | None = None
        folder = self.exit.enter_context(run_folder()) if self.settings.secret_key else None
        self._context = zmq.Context()
        # XPUB is a PUB that hears of its subscriptions; VERBOSER: of each, not of a topic's first and last only.
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.setsockopt(zmq.XPUB_VERBOSER, 1)
        self._socket.setsockopt(zmq.SNDHWM, self.settings.hwm)
        self._socket.setsockopt(zmq.LINGER, LINGER_MS)
        for option, value in SUBSCRIBING.items():
            self._socket.setsockopt(option, value)
        self._socket.setsockopt(zmq.IPV6, int("[" in self.settings.endpoint))
        self._subscriptions = Subscriptions(self._socket, _is_published, self._refused)
        self.exit.push_async_callback(self._shut)
        if folder is None:
            self._bind()
        else:
            keys = read_keys(self.settings.secret_key, self.settings.allow)
            self._server = CurveServer(self._context, self._socket, self.settings.endpoint, *keys, folder / "results")
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._read_subscriptions)
        self._read_subscriptions()
        endpoint, wait = self.settings.endpoint, self.settings.wait
        came = f"subscriptions came to {endpoint}"
        await self._subscribers.wait(wait, "subscribers", came, "start the subscribers first")

    async def process(self, port: str, message: Message) -> None:
        count_result(self, message)
        self._streams[message.stream] = _StreamState(message.seq + 1, message.epoch, message.watermark)
        if self._is_new(message.stream):
            self._publish(message)

    async def gap(self, port: str, message: Message) -> None:
        await self.process(port, message)

    async def moved(self, port: str, stream: str, watermark: int) -> None:
        known = self._streams.setdefault(stream, _StreamState())
        new = self._counts[stream] >= self.host.journal.get(f"published {stream}", 0)
        if self.settings.watermarks and new and known.watermark < watermark < FOREVER:
            known.watermark = watermark
            self._publish(
                Message(kind="watermark", stream=stream, seq=known.seq, watermark=watermark, epoch=known.epoch)
            )

    async def flush(self, stream: str) -> None:
        known = self._streams.pop(stream, _StreamState())
        self._any_ended = True
        if self._is_new(stream):
            self._publish(Message(kind="eos", stream=stream, seq=known.seq, watermark=FOREVER, epoch=known.epoch))

    async def _shut(self) -> None:
        # A run that was cut short leaves streams open, and its subscribers must not take it for complete.
        if self._any_ended and not self._streams and self._is_new(""):
            self._publish(Message(kind="eos", stream="", watermark=FOREVER))
        asyncio.get_running_loop().remove_reader(self._socket.fileno())
        self._socket.close()
        if self._server is not None:
            self._server.stop()
            self.counters["strangers"] = self._server.refused
        await self.compute(self._context.term)  # waits until the last messages have left, `LINGER_MS` at most
        if self._server is not None:
            await self._server.drained()

    def _is_new(self, stream: str) -> bool:
        """Whether the next message of a stream, watermarks aside, was not published by a process before this one."""
        if self.host.mode == "live":  # nothing comes again
            return True
        self._counts[stream] += 1
        count = self._counts[stream]
        if count <= self.host.journal.get(f"published {stream}", 0):
            return False
        self.host.journal.set(f"published {stream}", count)
        return True

    def _publish(self, message: Message) -> None:
        if message.trace:
            taken_in = message.trace[-1]
            hop = Hop(self.label, taken_in.received, self.host.clock.now())
            message = msgspec.structs.replace(message, trace=[*message.trace[:-1], hop])
        topic = TOPIC_PREFIX + message.stream.encode()
        # PUB drops what a subscriber has no room for; it never waits, and never fails.
        self._socket.send_multipart([topic, *self._codec.encode(message)], zmq.NOBLOCK)
        self.counters["published"] += 1
        self._read_subscriptions()  # ZeroMQ's descriptor is edge-triggered, and the send may have swallowed the edge

    def _bind(self) -> None:
        endpoint = self.settings.endpoint
        try:
            self._socket.bind(endpoint)
        except zmq.ZMQError as error:
            if error.errno == errno.EADDRINUSE:
                raise EmopipeError(f"endpoint: {in_use(endpoint)}") from None
            reason = zmq.strerror(error.errno or 0)
            raise EmopipeError(f"endpoint: {endpoint} cannot be bound: {reason}; choose another address") from None

    def _read_subscriptions(self) -> None:
        """Take in who has subscribed and unsubscribed."""
        for change in self._subscriptions.read():
            self._subscribers.add(change)
            self.counters["subscribed"] += change > 0

    def _refused(self) -> None:
        self.counters["refused"] += 1
        if self.counters["refused"] == 1:
            self.warn(f"a subscriber was cut off: it has subscribed more than {MAX_PER_CONNECTION} times")


def _is_published(topic: bytes) -> bool:
    """Whether a subscription to `topic` gets anything of ours."""
    return topic.startswith(TOPIC_PREFIX) or TOPIC_PREFIX.startswith(topic)
