"""What aiortc knows of a receiver and does not tell: when packets came, what the sender reports say, what waits.

The only place that reaches into aiortc (1.16). It replaces, on one receiver and before that starts:
    - `_handle_rtp_packet` and `_handle_rtcp_packet` by ones that also look at the packet;
    - the jitter buffer's way of seeing that a VP8 picture is complete: by its marker bit, not by the next picture;
    - the timestamp mapper, which takes every reordered packet for a wrap, so that a frame's pts is on our `RtpTime`;
    - the queue in front of the decoder, which is unbounded, and through which a small frame may ask for gigabytes.
"""

import queue
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from emopipe.stages.webrtc.bitstream import starts_anew, stated_size
from emopipe.stages.webrtc.clock import RtpTime, ntp

if TYPE_CHECKING:
    from aiortc import RTCRtpReceiver

RTP_RATES_HZ = {"video": 90_000, "audio": 48_000}  # of the codecs that are taken (RFC 7741, 6184, 7587)
MAX_WAITING_FRAMES = {"video": 60, "audio": 100}  # encoded frames that may wait for the decoder: two seconds
MACROBLOCK_SLACK_PX = 32  # px: what H264 states is rounded up to whole macroblocks, of two fields to two


class TapCallbacks(NamedTuple):
    """What the tap calls, in the event loop; media times are ns on the track's own line."""

    arrived: Callable[[int], None]
    reported: Callable[[int, int], None]  # media time, the sender's own time
    too_large: Callable[[int, int], None]  # width, height of a picture that is not decoded
    dropped: Callable[[int], None]  # so many frames, since the decoder fell behind


class ReceiverTap:
    """Looks into `receiver` and calls `callbacks`.

    Args:
        kind: `video` or `audio`.
        max_size: the longer side of a picture, in pixels; a larger one is not decoded, where its header tells.
    """

    def __init__(self, receiver: "RTCRtpReceiver", kind: str, callbacks: TapCallbacks, max_size: int) -> None:
        self.line = RtpTime(RTP_RATES_HZ[kind])
        self._receiver = receiver
        self._callbacks = callbacks
        self._handle_rtp = receiver._handle_rtp_packet
        self._handle_rtcp = receiver._handle_rtcp_packet
        error = _private(receiver, "decoder_error")
        self._queue = DecoderQueue(kind, max_size, callbacks, ask_for_key=error.set)
        _replace(receiver, "decoder_queue", self._queue)
        _replace(receiver, "timestamp_mapper", _Mapper(self.line))
        if kind == "video":
            _complete_by_marker(receiver)
        for name, handler in (("_handle_rtp_packet", self._rtp), ("_handle_rtcp_packet", self._rtcp)):
            setattr(receiver, name, handler)

    def media(self, frame: Any) -> int:
        """The media time (ns) of a decoded frame."""
        return self.line.to_ns(frame.pts)

    async def _rtp(self, packet: Any, arrival_time_ms: int) -> None:
        from aiortc.codecs import is_rtx

        codec = _private(self._receiver, "codecs").get(packet.payload_type)
        # Probes for bandwidth have no payload, retransmissions come late: neither says when something was sent.
        if codec is not None and not is_rtx(codec) and packet.payload:
            self._callbacks.arrived(self.line.to_ns(self.line.unwrap(packet.timestamp)))
        await self._handle_rtp(packet, arrival_time_ms)

    async def _rtcp(self, packet: Any) -> None:
        from aiortc.rtp import RtcpSrPacket

        if isinstance(packet, RtcpSrPacket) and self.line.begun:
            info = packet.sender_info
            self._callbacks.reported(self.line.ns(info.rtp_timestamp), ntp(info.ntp_timestamp))
        await self._handle_rtcp(packet)


class DecoderQueue(queue.Queue[Any]):
    """Encoded frames for the decoder, bounded: where it falls behind, all that waits is dropped.

    Pictures then begin again with a key frame, which the sender is asked for (`ask_for_key`): what comes before one
    would only decode to smears.
    """

    def __init__(self, kind: str, max_size: int, callbacks: TapCallbacks, ask_for_key: Callable[[], None]) -> None:
        super().__init__()
        self._video = kind == "video"
        self._max_waiting = MAX_WAITING_FRAMES[kind]
        self._max_size = max_size
        self._callbacks = callbacks
        self._ask_for_key = ask_for_key
        self._needs_key = False

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Never waits. An item is (codec, encoded frame), or none for the end, which comes before all that waits."""
        if item is None:
            self._clear()
        elif not self._takes(item[0].name, item[1].data):
            return
        super().put(item, block, timeout)

    def _takes(self, codec: str, data: bytes) -> bool:
        size = stated_size(codec, data) if self._video else None
        # Nearer to the limit the decoded picture will tell exactly.
        if size is not None and max(size) >= self._max_size + MACROBLOCK_SLACK_PX:
            self._callbacks.too_large(*size)
            return False
        if self.qsize() >= self._max_waiting:
            self._callbacks.dropped(self._clear())
            self._needs_key = self._video
        if self._needs_key:
            self._needs_key = not starts_anew(codec, data)
            if self._needs_key:
                self._ask_for_key()
                self._callbacks.dropped(1)
        return not self._needs_key

    def _clear(self) -> int:
        with self.mutex:
            waiting = len(self.queue)
            self.queue.clear()
        return waiting


def _complete_by_marker(receiver: "RTCRtpReceiver") -> None:
    """Let the jitter buffer give a VP8 picture with its last packet (RFC 7741, section 4.1: the marker bit).

    By itself it waits for the next picture's first packet: 33 ms at 30 pictures a second, a second at one. H264 is
    left alone, since some encoders mark each NAL unit.
    """
    from aiortc.jitterbuffer import JitterFrame

    buffer, codecs = _private(receiver, "jitter_buffer"), _private(receiver, "codecs")
    by_next_picture = buffer._remove_frame

    def at(index: int) -> Any:
        return buffer._packets[(buffer._origin + index) % buffer.capacity]

    def remove_frame(sequence_number: int) -> Any:
        while at(0) is not None and not at(0)._data:  # padding, which belonged to a picture that has gone
            buffer.remove(1)
        first, data = at(0), []
        for index in range(buffer.capacity):
            packet = at(index)
            if packet is None or packet.timestamp != first.timestamp:
                break
            data.append(packet._data)
            if packet.marker and codecs[packet.payload_type].name.lower() == "vp8":
                buffer.remove(index + 1)
                return JitterFrame(b"".join(data), first.timestamp)
        return by_next_picture(sequence_number)

    buffer._remove_frame = remove_frame


class _Mapper:
    def __init__(self, line: RtpTime) -> None:
        self._line = line

    def map(self, timestamp: int) -> int:
        # A retransmission may be the first that comes.
        return self._line.ticks(timestamp) if self._line.begun else self._line.unwrap(timestamp)


def _private(receiver: "RTCRtpReceiver", name: str) -> Any:
    return getattr(receiver, f"_RTCRtpReceiver__{name}")


def _replace(receiver: "RTCRtpReceiver", name: str, value: object) -> None:
    _private(receiver, name)  # an AttributeError here says that aiortc has changed
    setattr(receiver, f"_RTCRtpReceiver__{name}", value)
