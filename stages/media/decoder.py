"""Packets of one stream → decoded frames with the container's times, on through whatever is damaged."""

import errno
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import av
from av.packet import Packet

from emopipe.stages.media.damage import FFmpegErrors, explain

MAX_REORDERED = 32  # frames that a decoder holds back, at most: H.264 and HEVC allow 16


class Decoded(NamedTuple):
    """A frame, or what was wrong in its place, or both.

    Attributes:
        time: in the stream's units, None if unknown.
        frame: None where a packet gave none.
        aspect: the width of its pixels over their height, None if unknown.
        wrong: empty where nothing is.
    """

    time: int | None
    frame: Any
    aspect: Fraction | None = None
    wrong: str = ""


class Decoder:
    """Decodes one stream.

    Args:
        stream: of an open container.
        errors: hears what FFmpeg says while it decodes.
        decode_times: the container has no others (AVI): frames are shown at the times at which packets are decoded,
            one after the other.

    Attributes:
        is_unsupported: something in the stream is right, but FFmpeg cannot decode it.
    """

    def __init__(self, stream: Any, errors: FFmpegErrors, *, decode_times: bool = False) -> None:
        self._stream = stream
        self._errors = errors
        self._video = stream.type == "video"
        self._decode_times = decode_times
        self._pending: deque[tuple[int, Fraction | None]] = deque()  # the times of packets whose frames are to come
        self._coded_aspect = stream.codec_context.sample_aspect_ratio if self._video else None
        self._aspect: Fraction | None = stream.sample_aspect_ratio if self._video else None
        # What the container says of the pixels goes before what the codec says, as in players.
        self._aspect_is_coded = self._aspect == self._coded_aspect
        self._has_decoded = False
        self.is_unsupported = False

    @property
    def earliest(self) -> int | None:
        """The earliest time (the stream's units) of a frame that the decoder still holds; None if it holds none."""
        return min((time for time, _ in self._pending), default=None)

    def decode(self, packet: "Packet[Any] | None") -> Iterator[Decoded]:
        """The frames of one packet, or at the end (None) those that are still held."""
        time = None if packet is None else packet.pts if packet.pts is not None else packet.dts
        if packet is not None and self._decode_times:
            time, packet.pts = packet.dts, None
        frames: list[Any] = []
        wrong = ""
        with self._errors.capture() as logs:
            try:
                frames = self._stream.decode(packet)
            except av.error.EOFError:
                pass  # at the end, and the decoder holds nothing
            except av.error.FFmpegError as error:
                self.is_unsupported |= isinstance(error, av.error.PatchWelcomeError) or error.errno == errno.ENOSYS
                wrong = explain(error, logs)
        # A recording may begin between two key frames: decoders complain of that, but nothing is damaged. Frames that
        # need no others, as in JPEG, are complained of for what is wrong with themselves.
        alone = self._video and self._stream.codec_context.codec.intra_only
        if logs and not wrong and (self._has_decoded or alone):
            wrong = explain(None, logs)
        if self._video and time is not None and not (wrong and not frames):
            self._pending.append((time, self._pixel_aspect()))
            if len(self._pending) > MAX_REORDERED:
                self._pending.popleft()
        if wrong:
            yield Decoded(time, None, None, f"{self._stream.type}: {wrong}")
        for frame in frames:
            self._has_decoded = True
            concealed = f"{self._stream.type}: errors were concealed" if frame.is_corrupt and not wrong else ""
            yield self._identify(frame, concealed)
        if packet is None:
            self._pending.clear()

    def _pixel_aspect(self) -> Fraction | None:
        """Of the packet decoded last: a decoder that holds frames back knows that of later ones already."""
        return self._stream.codec_context.sample_aspect_ratio if self._aspect_is_coded else self._aspect

    def _identify(self, frame: Any, wrong: str) -> Decoded:
        """`frame` with the time and the pixels of its packet."""
        if not self._video:
            return Decoded(frame.pts if frame.pts is not None else frame.dts, frame, None, wrong)
        if self._decode_times:
            time, aspect = self._pending.popleft() if self._pending else (None, self._aspect)
            return Decoded(time, frame, aspect, wrong)
        time = frame.pts if frame.pts is not None else frame.dts
        aspect = next((aspect for at, aspect in self._pending if at == time), self._pixel_aspect())
        if time is not None:  # frames come in the order in which they are shown
            self._pending = deque(entry for entry in self._pending if entry[0] > time)
        return Decoded(time, frame, aspect, wrong)
