"""Recordings put into other containers, with audio early, late, missing, or far behind in the file; and their truth."""

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from emopipe.models.speech.windower import SpeechWindower, Window
from emopipe.pipeline.clock import MS
from emopipe.stages.media.audio import SAMPLE_NS, AudioConverter, Block
from emopipe.stages.media.timeline import ns

CONTAINERS: dict[str, tuple[str, str, str, dict[str, str]]] = {
    # by name: suffix, codecs of video and audio where those of the source do not fit, options of the muxer
    "mp4": ("mp4", "libx264", "aac", {}),
    "fragmented": ("mp4", "libx264", "aac", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    "mkv": ("mkv", "libx264", "flac", {}),
    "webm": ("webm", "libvpx", "libopus", {}),
    "mov": ("mov", "libx264", "pcm_s16le", {}),
    "avi": ("avi", "libx264", "pcm_s16le", {}),
    "ts": ("ts", "libx264", "aac", {}),
    "flv": ("flv", "libx264", "aac", {}),
}
VARIANTS = ("plain", "early", "late", "missing", "behind")
_FITS = {  # what a container takes as it is
    "mp4": {"h264", "aac"},
    "mkv": {"h264", "aac", "flac", "pcm_s16le", "mpeg4"},
    "webm": {"vp8", "vp9", "opus"},
    "mov": {"h264", "aac", "pcm_s16le"},
    "avi": {"mpeg4"},
    "ts": {"h264", "aac"},
    "flv": {"h264", "aac", "flv1"},
}
BEHIND_S = 10
HOLE_NS = 64 * MS


def remux(source: Path, folder: Path, container: str, variant: str) -> Path:
    """`source` in another container; `variant` says what becomes of its audio.

    `early` begins it 0.7 s before the video, `late` as much after it; `behind` writes it 10 s behind in the file.
    """
    suffix, video_codec, audio_codec, options = CONTAINERS[container]
    path = folder / f"{source.stem}-{container}-{variant}.{suffix}"
    options = {**options, "max_interleave_delta": "1"} if variant == "behind" else options
    kinds = ("video",) if variant == "missing" else ("video", "audio")
    delayed = {"early": "video", "late": "audio"}.get(variant)
    with ExitStack() as stack:
        writing = stack.enter_context(av.open(str(path), "w", container_options=options))
        read = []
        for kind in kinds:
            reading = stack.enter_context(av.open(str(source)))  # once for each: some cannot be read twice
            if (stream := reading.streams.best(kind)) is not None:
                copied = kind == "video" and stream.codec_context.name in _FITS[suffix]
                output = _output(writing, stream, video_codec if kind == "video" else audio_codec, copied)
                read.append((_copied if copied else _encoded, reading, stream, output, kind == delayed))
        events = []
        for packets, reading, stream, output, late in read:
            events += list(packets(reading, stream, output, Fraction(7, 10) if late else Fraction(0)))
        events.sort(key=lambda event: event[0])
        if variant == "behind":
            events.sort(key=lambda event: event[0] + (BEHIND_S if event[1].stream.type == "audio" else 0))
        if container == "flv":  # takes nothing that is earlier than its first packet
            earliest = min(range(len(events)), key=lambda n: events[n][0])
            events.insert(0, events.pop(earliest))
        for _, packet in events:
            writing.mux(packet)
    return path


def _output(writing: Any, stream: Any, codec: str, copied: bool) -> Any:
    if copied:
        return writing.add_stream_from_template(stream)
    if stream.type == "video":
        output = writing.add_stream(codec, rate=stream.average_rate or 25)
        output.width, output.height, output.pix_fmt = stream.width, stream.height, "yuv420p"
        output.codec_context.time_base = stream.time_base
        return output
    layout = "stereo" if stream.codec_context.layout.nb_channels > 1 else "mono"
    return writing.add_stream(codec, rate=48_000, layout=layout)


def _copied(reading: Any, stream: Any, output: Any, delay: Fraction) -> Iterator[tuple[float, Any]]:
    """The packets of a stream as they are, each with the time (s) by which they are ordered."""
    packets = [packet for packet in reading.demux(stream) if packet.size]
    if "matroska" in reading.format.name:  # has no decode times, and those that FFmpeg makes up are wrong
        shown = sorted(packet.pts for packet in packets)
        early = max(time - packet.pts for time, packet in zip(shown, packets, strict=True))
        for time, packet in zip(shown, packets, strict=True):
            packet.dts = time - early
    for packet in packets:
        shift = round(delay / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts + shift
        packet.dts = None if packet.dts is None else packet.dts + shift
        at = float(packet.dts * packet.time_base)
        packet.stream = output
        yield at, packet


def _encoded(reading: Any, stream: Any, output: Any, delay: Fraction) -> Iterator[tuple[float, Any]]:
    """The packets of a stream made anew, likewise."""
    resampler = av.AudioResampler(rate=48_000) if stream.type == "audio" else None
    frames: Iterator[Any] = reading.decode(stream)
    for frame in frames:
        for each in [frame] if resampler is None else resampler.resample(frame):
            each.pts = round(each.pts + delay / each.time_base)
            if resampler is None:
                each.pict_type = 0
            for packet in output.encode(each):
                yield float(packet.dts * packet.time_base), packet
    for packet in output.encode(None):
        yield float(packet.dts * packet.time_base), packet


class Truth(NamedTuple):
    """What plain FFmpeg says of a file, on a time (ns) that begins with its first frame or sound."""

    frames: list[int]
    audio: list[tuple[int, NDArray[np.float32]]]


def truth(path: Path) -> Truth:
    """The times of the packets of `path`, and its audio, in one piece wherever frames follow each other."""
    frames: list[int] = []
    pieces: list[tuple[int, AudioConverter, list[Block]]] = []
    with av.open(str(path)) as container:
        streams = [stream for kind in ("video", "audio") if (stream := container.streams.best(kind)) is not None]
        avi = container.format.name == "avi"  # has decode times alone, and FFmpeg makes up the others
        wrap = 1 << 33 if container.format.name == "mpegts" else None  # units, after which its clock is at 0 again
        for packet in container.demux(streams):
            if packet.size and packet.stream.type == "video":
                time = packet.dts if avi or packet.pts is None else packet.pts
                frames.append(ns(time, packet.time_base))
            elif packet.stream.type == "audio":
                for frame in packet.decode():
                    before = wrap is not None and frame.pts > wrap // 2  # its 0
                    at = ns(frame.pts - wrap if before else frame.pts, frame.time_base)
                    if not pieces or abs(at - pieces[-1][0] - pieces[-1][1].end) > HOLE_NS:
                        pieces.append((at, AudioConverter(), []))
                    pieces[-1][2].extend(pieces[-1][1].push(frame))
    for _, converter, blocks in pieces:
        blocks.extend(converter.flush())
    origin = min([*frames, *(start for start, _, _ in pieces)])
    audio = [(start - origin, np.concatenate([block.samples for block in blocks])) for start, _, blocks in pieces]
    return Truth(sorted(time - origin for time in frames), audio)


def windows(audio: list[tuple[int, NDArray[np.float32]]]) -> list[tuple[int, int]]:
    """The windows of speech (ns) in pieces of 16 kHz audio with their pts."""
    windower = SpeechWindower()
    events = []
    end = 0
    for pts, samples in audio:
        if pts > end:
            events += windower.skip(pts)
        events += windower.push(samples, pts)
        end = pts + len(samples) * SAMPLE_NS
    events += windower.flush()
    return [(event.start, event.end) for event in events if isinstance(event, Window)]
