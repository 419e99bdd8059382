"""Pictures and sounds for the predictor, from files or arrays, made into what capture makes of them."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from emopipe.pipeline.errors import DataError, MediaError
from emopipe.stages.media.audio import AudioConverter
from emopipe.stages.media.container import pixel_problem, too_large
from emopipe.stages.media.damage import Damage
from emopipe.stages.media.frames import FrameConverter
from emopipe.stages.media.recording import Recording
from emopipe.stages.types import AudioBlock, VideoFrame

# What is taken from a folder, by the endings of names; a file that is named may have any name.
_IMAGES = "avif bmp gif heic heif hif jfif jp2 jpe jpeg jpg jxl pbm pgm png pnm ppm tga tif tiff webp"
_SOUNDS = "aac ac3 aif aifc aiff amr au caf flac m4a m4b mka mp2 mp3 oga ogg opus wav weba wma wv"
_VIDEOS = "3g2 3gp asf avi f4v flv m2ts m4v mkv mov mp4 mpeg mpg mts mxf ogm ogv qt ts vob webm wmv"
IMAGES, SOUNDS, VIDEOS = (tuple(f".{ending}" for ending in text.split()) for text in (_IMAGES, _SOUNDS, _VIDEOS))


class AudioChunk(NamedTuple):
    """Sound from `pts` (ns): 16 kHz mono float32 [n], or none for `duration` (ns)."""

    pts: int
    duration: int
    samples: NDArray[np.float32] | None


def read_image(path: Path) -> VideoFrame:
    """The picture in a file of any format and depth that FFmpeg knows, upright; of a film the first one.

    Raises:
        MediaError: it cannot be opened, is damaged, or shows nothing.
    """
    with Recording(path) as recording:
        frames = (item.payload for item in recording if isinstance(item.payload, VideoFrame))
        frame = next(frames, None)
        if frame is None:
            raise MediaError(f"{path} holds no picture")
        next(frames, None)  # what is wrong with a picture is known once it has been passed
        if recording.damage:
            raise MediaError(f"{path} is damaged ({recording.damage[0].reason}); copy or make it again")
        # FFmpeg and libjpeg differ by a little in their colours, and small faces are found by as little: so a picture
        # is what it is to whoever gives it as an array.
        pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_ANYCOLOR) if recording.is_still else None
        if pixels is None:
            return frame
        return image_frame(pixels if pixels.ndim == 2 else pixels[..., ::-1])


def image_frame(image: NDArray[Any]) -> VideoFrame:
    """An RGB [H, W, 3], RGBA [H, W, 4] or grey [H, W] image, uint8 or uint16, as detector and classifier see it.

    Raises:
        DataError: another shape or type.
    """
    array = np.asarray(image)
    if array.dtype == np.uint16:
        array = (array >> 8).astype(np.uint8)
    if (
        array.dtype != np.uint8
        or not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4)))
        or not array.size
    ):
        raise DataError(
            f"an image is uint8 or uint16, RGB [H, W, 3] or grey [H, W], but this is {array.dtype} {list(array.shape)}"
        )
    if too_large(array.shape[1], array.shape[0]):
        raise DataError(f"an image: {pixel_problem(array.shape[1], array.shape[0])}")
    layout = "gray" if array.ndim == 2 else "rgb24"
    pixels = np.ascontiguousarray(array if array.ndim == 2 else array[..., :3])
    return FrameConverter().read(av.VideoFrame.from_ndarray(pixels, layout))


def read_audio(path: Path, on_damage: Callable[[Damage], None] | None = None) -> Iterator[AudioChunk]:
    """The sound of a file of any container and codec that FFmpeg knows; damaged places are reported and left out.

    Raises:
        MediaError: it cannot be opened, or holds no sound.
    """
    with Recording(path, on_damage=on_damage) as recording:
        if "audio" not in recording.kinds:
            raise MediaError(f"{path} holds no sound")
        for item in recording:
            if item.kind == "audio":
                samples = item.payload.samples if isinstance(item.payload, AudioBlock) else None
                yield AudioChunk(item.pts, item.duration, samples)


def audio_chunks(samples: NDArray[Any], sample_rate: int) -> Iterator[AudioChunk]:
    """Sound [n] or [n, channels], float in -1..1 or int16, at any rate.

    Raises:
        DataError: another shape, type or rate, or values that are no numbers.
    """
    array = np.asarray(samples)
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or not 1 <= array.shape[1] <= 8 or not (array.dtype == np.int16 or array.dtype.kind == "f"):
        raise DataError(
            f"sound is float or int16, [n] or [n, channels], but this is {array.dtype} {list(np.shape(samples))}"
        )
    if not 1000 <= sample_rate <= 768_000:
        raise DataError(f"a sample rate of {sample_rate} Hz is not between 1000 and 768000")
    if array.dtype.kind == "f":
        if not np.isfinite(array).all():
            raise DataError("the sound holds values that are no numbers (nan or inf)")
        array = np.clip(np.rint(array * 32768.0), -32768, 32767).astype(np.int16)
    if array.shape[1] > 2:
        array = np.rint(array.mean(axis=1, keepdims=True)).astype(np.int16)
    sound = AudioConverter()
    sound.begin(0)
    for start in range(0, len(array), sample_rate):
        packed = np.ascontiguousarray(array[start : start + sample_rate]).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(packed, format="s16", layout="mono" if array.shape[1] == 1 else "stereo")
        frame.sample_rate = sample_rate
        for block in sound.push(frame):
            yield AudioChunk(block.pts, block.duration, block.samples)
    for block in sound.flush():
        yield AudioChunk(block.pts, block.duration, block.samples)
