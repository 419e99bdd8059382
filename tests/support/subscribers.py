"""A ZeroMQ subscriber in a process of its own, for the tests of what is published."""

import io
import subprocess
import sys
from collections.abc import Sequence

import msgpack

from emopipe.pipeline.message import Codec, Message
from emopipe.stages.types import Emotions

# Writes each multipart message as a list of its parts, until one of the given streams has ended.
SCRIPT = """
import sys, msgpack, zmq
socket = zmq.Context().socket(zmq.SUB)
socket.connect(sys.argv[1])
socket.subscribe(sys.argv[2])
while True:
    parts = socket.recv_multipart()
    sys.stdout.buffer.write(msgpack.packb(parts))
    header = msgpack.unpackb(parts[1])
    if header["kind"] == "eos" and header["stream"] in sys.argv[3:]:
        break
"""


class Subscriber:
    """Collects what is published on `topic` until the stream `until` has ended; "" stands for the whole output."""

    def __init__(self, endpoint: str, topic: str = "emotions/", until: Sequence[str] = ("",)) -> None:
        arguments = [sys.executable, "-c", SCRIPT, endpoint, topic, *until]
        self._process = subprocess.Popen(arguments, stdout=subprocess.PIPE)

    def received(self) -> list[tuple[bytes, Message]]:
        """(topic, message) pairs, in order; waits for the end."""
        told, _ = self._process.communicate(timeout=60)
        if self._process.returncode != 0:
            raise RuntimeError(f"the subscriber ended with {self._process.returncode}")
        codec = Codec(Emotions)
        return [(topic, codec.decode(parts)) for topic, *parts in msgpack.Unpacker(io.BytesIO(told))]

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()
