"""A recording's own audio, as it is, for a film that was made of its frames."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import av

from emopipe.pipeline.clock import SECOND
from emopipe.stages.media.container import best_stream, open_recording
from emopipe.stages.media.damage import FFmpegErrors
from emopipe.stages.media.demuxer import Demuxer
from emopipe.stages.media.recording import KINDS, Recording
from emopipe.stages.media.timeline import ns

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer

    SoundPacket = av.Packet[AudioStream]

MP4_AUDIO_CODECS = frozenset(
    {"aac", "mp3", "ac3", "eac3", "alac"}
)  # what players expect in an mp4; the rest becomes AAC


class SourceAudio:
    """Reads the packets of a recording's audio, in step with what has been seen of its frames.

    They are copied, not encoded anew, wherever an mp4 can hold them. Damaged places are passed over: whoever plays
    the recording reports them.

    Args:
        path: of the recording.

    Raises:
        MediaError: it cannot be opened.
    """

    def __init__(self, path: str | Path) -> None:
        with Recording(path) as recording:
            next(iter(recording), None)
            self._origin = recording.origin
        self._errors = FFmpegErrors()
        self._source = open_recording(path, self._errors)
        self._input = cast("AudioStream | None", best_stream(self._source, "audio"))
        self._output: AudioStream | None = None
        self._encodes = False
        self._resampler: av.AudioResampler | None = None
        self._shape: tuple[str, str, int] | None = None  # that it takes
        self._last: int | None = None  # ns, of the newest piece
        self._packets = self._read()
        self._next: SoundPacket | None = None

    def __bool__(self) -> bool:
        """Whether there is any audio."""
        return self._input is not None

    def add_to(self, film: "OutputContainer") -> None:
        """Give `film` a track for it."""
        if self._input is None:
            return
        context = self._input.codec_context
        if context.name.removesuffix("float") in MP4_AUDIO_CODECS:
            self._output = film.add_stream_from_template(self._input)
        else:
            self._encodes = True
            # A file may say how many channels there are, but not which.
            layout = {1: "mono", 2: "stereo"}.get(context.layout.nb_channels, context.layout.name)
            self._output = film.add_stream("aac", rate=context.sample_rate, layout=layout)

    def until(self, end: int | None) -> "Iterator[SoundPacket]":
        """The packets, ready for the film, that begin before `end` (ns of running time; none: all)."""
        while True:
            if self._next is None:
                self._next = next(self._packets, None)
            packet = self._next
            if packet is None or (
                end is not None and packet.pts is not None and ns(packet.pts, packet.time_base) >= end
            ):
                return
            self._next = None
            yield packet

    def close(self) -> None:
        """Close the recording; also possible twice."""
        self._source.close()
        self._errors.close()

    def _read(self) -> "Iterator[SoundPacket]":
        if self._input is None or self._output is None:
            return
        # All that the recording is played from: they share one clock.
        streams = [stream for kind in KINDS if (stream := best_stream(self._source, kind)) is not None]
        for index, packet, _ in Demuxer(self._source, streams, self._errors):
            if index == self._input.index and packet is not None:
                yield from self._encoded(packet) if self._encodes else self._copied(packet)
        if self._encodes:
            for last in self._flush_resampler():
                yield from self._output.encode(last)
            yield from self._output.encode(None)

    def _copied(self, packet: "SoundPacket") -> "Iterator[SoundPacket]":
        output = self._output
        if packet.pts is None or not packet.size or output is None:
            return
        packet.pts -= round(Fraction(self._origin, SECOND) / packet.time_base)
        packet.dts = packet.pts  # audio is never reordered
        if self._follows(ns(packet.pts, packet.time_base)):
            packet.stream = output
            yield packet

    def _encoded(self, packet: "SoundPacket") -> "Iterator[SoundPacket]":
        assert self._output is not None
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            return
        for frame in frames:
            if frame.pts is None or frame.time_base is None:
                continue
            frame.pts -= round(Fraction(self._origin, SECOND) / frame.time_base)
            if self._follows(ns(frame.pts, frame.time_base)):
                for uniform in [*self._flush_resampler(frame), *self._uniform(frame)]:
                    yield from (each for each in self._output.encode(uniform) if each.pts is None or each.pts >= 0)

    def _uniform(self, frame: av.AudioFrame) -> list[av.AudioFrame]:
        """`frame` as the encoder takes it: a broadcast goes from stereo to mono and back."""
        assert self._output is not None
        if self._resampler is None:
            context = self._output.codec_context
            self._resampler = av.AudioResampler(context.format, context.layout, context.sample_rate)
            self._shape = _shape(frame)
        return self._resampler.resample(frame)

    def _flush_resampler(self, following: av.AudioFrame | None = None) -> list[av.AudioFrame]:
        """What it holds back, once what follows is of another shape, or nothing does."""
        if self._resampler is None or (following is not None and _shape(following) == self._shape):
            return []
        resampler, self._resampler = self._resampler, None
        return resampler.resample(None)

    def _follows(self, at: int) -> bool:
        """Whether a time (ns) is where the next piece of audio may be: a film's times only go up."""
        good = at >= 0 and (self._last is None or self._last < at)
        if good:
            self._last = at
        return good


def _shape(frame: av.AudioFrame) -> tuple[str, str, int]:
    """What a resampler is made for: format, layout and rate."""
    return frame.format.name, frame.layout.name, frame.sample_rate
