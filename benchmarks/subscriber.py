"""A subscriber in a thread of its own: what arrived of each stream, when, and how old it was."""

import threading
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import zmq

from emopipe.pipeline.message import Codec, Message
from emopipe.stages.sinks.publish import TOPIC_PREFIX
from emopipe.stages.sinks.records import capture_time
from emopipe.stages.types import Emotions

POLL_MS = 100  # ms between looks at whether to stop


@dataclass
class Arrivals:
    """All that arrived of one stream; times are monotonic ns.

    Attributes:
        times: of each result of a frame: its pts (running time), its capture, its arrival.
        windows: results of the voice alone.
        forced: results that a deadline let out.
        lost: what never arrived, by `seq`.
        began, ended: the first arrival, and that of EOS; 0 where there was none.
        last: the newest arrival of any kind.
    """

    times: list[tuple[int, int, int]] = field(default_factory=list)
    windows: int = 0
    forced: int = 0
    lost: int = 0
    began: int = 0
    ended: int = 0
    last: int = 0
    expected: int = 0  # the next seq

    def ages(self, base_time: int) -> list[int]:
        """The age of each frame's result at its arrival, from the frame's pts on: ns.

        `base_time` is the monotonic time (ns) of running time 0.
        """
        return [arrived - base_time - pts for pts, _, arrived in self.times]


class Subscriber(threading.Thread):
    """Subscribes to a `publish` stage on this host until its output ends or `stop` is called.

    A context manager. `streams` may be read at any time; it is complete once `stop` has returned.

    Args:
        endpoint: the stage's.
        received: called with each message, in this thread.
    """

    def __init__(self, endpoint: str, received: Callable[[Message], None] = lambda message: None) -> None:
        super().__init__(name="subscriber", daemon=True)
        self.streams: defaultdict[str, Arrivals] = defaultdict(Arrivals)
        self._endpoint = endpoint
        self._received = received
        self._over = threading.Event()

    def __enter__(self) -> "Subscriber":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self, timeout_s: float = 0.0) -> None:
        """Wait up to `timeout_s` for the end of the output, then unsubscribe."""
        self.join(timeout_s)
        self._over.set()
        self.join()

    def run(self) -> None:
        codec = Codec(Emotions)
        with zmq.Context() as context, context.socket(zmq.SUB) as socket:
            socket.set_hwm(0)
            socket.linger = 0
            socket.subscribe(TOPIC_PREFIX)
            socket.connect(self._endpoint)
            while not self._over.is_set():
                if not socket.poll(POLL_MS):
                    continue
                _, *parts = socket.recv_multipart()
                message = codec.decode(parts)
                if message.kind == "eos" and not message.stream:
                    return
                self.take(message, time.monotonic_ns())
                self._received(message)

    def take(self, message: Message, now: int) -> None:
        """Count one message that arrived at `now`."""
        stream = self.streams[message.stream]
        stream.began = stream.began or now
        stream.last = now
        if message.kind == "eos":
            stream.ended = now
            stream.lost += message.seq - stream.expected
            stream.expected = 0
            return
        stream.ended = 0  # the name may come again
        stream.lost += message.seq - stream.expected
        stream.expected = message.seq + 1
        if message.kind != "data":
            return
        result: Emotions = message.payload
        stream.forced += result.forced
        if result.source == "face":
            stream.times.append((message.pts, capture_time(message), now))
        else:
            stream.windows += 1
