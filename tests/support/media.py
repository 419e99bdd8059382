"""Recordings made in the test, and a plain reading of them to compare with."""

import math
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
from numpy.typing import NDArray

from emopipe.stages.media.recording import Item

MS = Fraction(1, 1000)


def picture(number: int, width: int = 160, height: int = 96) -> NDArray[np.uint8]:
    """A picture that shows its number: a bright bar that moves, over grey."""
    image = np.full((height, width, 3), 60, np.uint8)
    x = number * 7 % (width - 16)
    image[:, x : x + 16] = 220
    return image


def corner(width: int = 160, height: int = 96) -> NDArray[np.uint8]:
    """A dark picture whose top left is bright."""
    image = np.full((height, width, 3), 30, np.uint8)
    image[: height // 3, : width // 3] = 230
    return image


def tone(seconds: float, rate: int, frequency: float = 300.0) -> NDArray[np.float64]:
    return 0.5 * np.sin(2 * math.pi * frequency * np.arange(round(seconds * rate)) / rate)


def make(
    path: Path,
    *,
    pictures: Sequence[float] | None = (),
    draw: Callable[[int], NDArray[np.uint8]] = picture,
    video: str = "libx264",
    pix_fmt: str = "yuv420p",
    gop: int = 12,
    sound: NDArray[np.float64] | None = None,
    audio: str = "aac",
    rate: int = 16_000,
    layout: str = "mono",
    sound_at: float = 0.0,
    hole: tuple[float, float] | None = None,
    turn: int = 0,
    mirror: bool = False,
    options: dict[str, str] | None = None,
    base: Fraction = MS,
) -> Path:
    """Write a recording.

    Args:
        pictures: the time of each picture in s; none for no video track.
        sound: mono, the same in all channels; none for no audio track.
        sound_at: when it begins, in s.
        hole: (from, for) in s: after `from` of the sound, its times are `for` later.
        turn, mirror: of the display matrix, degrees counterclockwise.
        options: of the container.
        base: of the pictures' times.
    """
    with av.open(str(path), "w", container_options=options or {}) as container:
        shown = heard = None
        if pictures:
            height, width, _ = draw(0).shape
            shown = container.add_stream(video, rate=25)
            shown.width, shown.height, shown.pix_fmt = width, height, pix_fmt
            shown.codec_context.time_base = base
            shown.codec_context.gop_size = gop
            if turn or mirror:
                shown.set_display_rotation(turn, hflip=mirror)
        if sound is not None:
            heard = container.add_stream(audio, rate=rate)
            heard.layout = layout
        events: list[tuple[float, int]] = [(at, number) for number, at in enumerate(pictures or ())]
        step = 1024
        if sound is not None:
            events += [(sound_at + start / rate, -1 - start) for start in range(0, len(sound), step)]
        for at, number in sorted(events):
            if number >= 0 and shown is not None:
                frame = av.VideoFrame.from_ndarray(draw(number), "rgb24")
                frame.pts, frame.time_base = round(at / base), base
                container.mux(shown.encode(frame))
            elif heard is not None and sound is not None:
                start = -1 - number
                late = hole[1] if hole and start / rate >= hole[0] else 0.0
                container.mux(heard.encode(_chunk(sound[start : start + step], rate, layout, start, sound_at + late)))
        for stream in (shown, heard):
            if stream is not None:
                container.mux(stream.encode(None))
    return path


def _chunk(mono: NDArray[np.float64], rate: int, layout: str, start: int, at: float) -> av.AudioFrame:
    channels = len(av.AudioLayout(layout).channels)
    samples = np.repeat((mono * 32767).astype(np.int16), channels)
    frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout=layout)
    frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
    frame.pts = start + round(at * rate)
    return frame


def every(fps: float, seconds: float, start: float = 0.0) -> list[float]:
    """Times of pictures."""
    return [start + number / fps for number in range(round(seconds * fps))]


class Plain(NamedTuple):
    """What plain PyAV decodes: times in s, and the number of samples at their own rate."""

    pictures: list[float]
    samples: int


def plainly(path: Path) -> Plain:
    """Decode the best streams of `path` with nothing but PyAV, leaving out what does not decode."""
    pictures: list[float] = []
    samples = 0
    with av.open(str(path)) as container:
        streams = [s for s in (container.streams.best("video"), container.streams.best("audio")) if s is not None]
        for packet in container.demux(streams):
            for frame in _decoded(packet):
                if isinstance(frame, av.AudioFrame):
                    samples += frame.samples
                else:
                    pictures.append(float(frame.time or 0.0))
    return Plain(pictures, samples)


def _decoded(packet: "av.Packet") -> Iterator[av.VideoFrame | av.AudioFrame]:
    try:
        frames = packet.decode()
    except av.error.FFmpegError:
        return
    for frame in frames:
        assert isinstance(frame, av.VideoFrame | av.AudioFrame)
        yield frame


def spoil(path: Path, start: float, length: int) -> Path:
    """Overwrite `length` bytes at the fraction `start` of the file with noise."""
    data = bytearray(path.read_bytes())
    at = round(start * len(data))
    noise = np.random.default_rng(7).integers(0, 256, length, dtype=np.uint8).tobytes()
    data[at : at + length] = noise[: len(data) - at]
    path.write_bytes(data)
    return path


def cut_off(path: Path, fraction: float) -> Path:
    """Keep only the first `fraction` of the file."""
    data = path.read_bytes()
    path.write_bytes(data[: round(len(data) * fraction)])
    return path


def check_order(items: Sequence[Item]) -> None:
    """The promises of the outputs: pictures increase, sound and gaps do not overlap."""
    shown = [item for item in items if item.payload is not None and item.kind == "video"]
    assert all(a.pts < b.pts for a, b in pairwise(shown))
    for kind in ("video", "audio"):
        mine = [item for item in items if item.kind == kind]
        assert all(item.pts >= 0 and item.duration > 0 for item in mine)
        assert all(b.pts >= a.pts + (a.duration if kind == "audio" else 1) for a, b in pairwise(mine))
