"""Packets → decoded frames of the tracks used, in the container's order, on through whatever is damaged."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import av
from av.container import InputContainer
from av.packet import Packet

from emopipe.stages.media.damage import FFmpegErrors, explain
from emopipe.stages.media.tracks import Track

FAILURES = 100  # reads that fail one after the other before the rest of a recording is given up


class Event(NamedTuple):
    """What came next: a frame (of the track's kind), or what was wrong there, or both."""

    track: Track
    time: int | None  # in the stream's units
    frame: Any
    wrong: str = ""


def decode(container: InputContainer, tracks: Sequence[Track], errors: FFmpegErrors) -> Iterator[Event]:
    """All that can be decoded."""
    by_index = {track.stream.index: track for track in tracks}
    streams = [track.stream for track in tracks]
    newest = tracks[0]
    failures = 0
    packets = container.demux(streams)
    while failures < FAILURES:
        with errors.capture() as logs:
            try:
                packet = next(packets, None)
            except IndexError:
                # PyAV stumbles at the very end where damage has made FFmpeg see another stream on the way.
                packet, failures, wrong = None, 0, ""
            except av.error.FFmpegError as error:
                failures += 1
                # The iterator has ended with its error; a new one goes on at the same place.
                packets = container.demux(streams)
                wrong = explain(error, logs)
            else:
                failures, wrong = 0, ""
        if wrong:
            yield Event(newest, None, None, wrong)
            continue
        if packet is None:
            break
        if packet.size:  # PyAV ends each stream with an empty packet
            newest = by_index[packet.stream_index]
            yield from _decode(newest, packet, errors)
    for track in tracks:
        yield from _decode(track, None, errors)


def _decode(track: Track, packet: "Packet[Any] | None", errors: FFmpegErrors) -> Iterator[Event]:
    """The frames of one packet, or at the end (none) those that the decoder still holds."""
    time = None if packet is None else packet.pts if packet.pts is not None else packet.dts
    frames: Sequence[Any] = []
    wrong = "cut off or corrupt" if packet is not None and packet.is_corrupt else ""
    with errors.capture() as logs:
        try:
            frames = track.stream.decode(packet)
        except av.error.EOFError:
            pass  # at the end, and the decoder holds nothing
        except av.error.FFmpegError as error:
            wrong = explain(error, logs)
    # A recording may begin between two key frames: decoders complain of that, but nothing is damaged. Pictures that
    # need no others, as in JPEG, are complained of for what is wrong with themselves.
    alone = track.kind == "video" and track.stream.codec_context.codec.intra_only
    if logs and not wrong and (track.decodes or alone):
        wrong = explain(None, logs)
    if wrong:
        yield Event(track, time, None, f"{track.kind}: {wrong}")
    for frame in frames:
        track.decodes = True
        stamp = frame.pts if frame.pts is not None else frame.dts
        concealed = f"{track.kind}: errors were concealed" if frame.is_corrupt and not wrong else ""
        yield Event(track, stamp, frame, concealed)
