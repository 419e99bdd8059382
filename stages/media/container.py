"""Opening a file that comes from anywhere: as a recording, and as nothing else."""

import os
import stat
from collections.abc import Sequence
from itertools import chain, count
from pathlib import Path
from typing import Any, Literal

import av
from av.container import InputContainer
from av.stream import Disposition

from emopipe.pipeline.errors import MediaError
from emopipe.stages.media.damage import FFmpegErrors, explain

MAX_PIXELS = 1 << 27
"""Of one frame or picture, 134 million: a header of 480 bytes can claim 16 GB."""

CONVERT = "convert it: a recording to MP4 with H.264 and AAC, a picture to PNG or JPEG"

# Those that read other files or addresses than the one given are missing: playlists, scripts, descriptions.
_RECORDINGS = (
    "asf asf_o av1 avi avs2 avs3 cavsvideo dhav dirac dnxhd dv evc film_cpk flv gxf h261 h263 h264 hevc ingenient ivf "
    "ivr kux live_flv lvf m4v matroska mjpeg mjpeg_2000 mov mpeg mpegts mpegtsraw mpegvideo mpjpeg mv mxf mxg nsv nut "
    "nuv obu ogg rawvideo rm smjpeg swf ty vc1 vc1test vvc webm wtv yuv4mpegpipe"
)
_SOUNDS = (
    "aa aac aax ac3 ac4 aiff alaw amr amrnb amrwb ape apm aptx ast au caf dsf dts dtshd eac3 flac g722 g723_1 g726 "
    "gsm iamf ilbc ircam lc3 loas mlp mmf mp3 mpc mpc8 mulaw nistsphere oma osq pvf qoa rso s16be s16le sbc shn sol "
    "sox tak truehd tta voc w64 wav wavarc wsaud wsd wv xa"
)
_PICTURES = (
    "apng bmp_pipe dds_pipe dpx_pipe exr_pipe gem_pipe gif gif_pipe hdr_pipe ico image2 j2k_pipe jpeg_pipe "
    "jpegls_pipe jpegxl_anim jpegxl_pipe jpegxs_pipe pam_pipe pbm_pipe pcx_pipe pfm_pipe pgm_pipe pgmyuv_pipe "
    "photocd_pipe pictor_pipe png_pipe ppm_pipe psd_pipe qoi_pipe sgi_pipe sunrast_pipe tiff_pipe webp_pipe xbm_pipe "
    "xpm_pipe xwd_pipe"
)
_TEXTS = "ass srt tty webvtt"  # recognised, so that it can be said what they are
_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"[playlist]", b"<MPD", b"v=0")  # how such files begin
_SIZE_REFUSED = ("Picture size", "Invalid image size", "Failed to set dimensions")  # as FFmpeg says of `max_pixels`
_OPTIONS = {
    "protocol_whitelist": "file",
    "format_whitelist": ",".join(f"{_RECORDINGS} {_SOUNDS} {_PICTURES} {_TEXTS}".split()),
    "pattern_type": "none",  # a name such as f%03d.jpg is a name
    "correct_ts_overflow": "0",  # a clock that starts anew is no clock that has run over; `timeline` sees to both
}


def unreadable(path: str | Path) -> str:
    """Why `path` cannot be a recording, and what to do, seen without opening it; empty if it may be one."""
    if "://" in str(path):
        return f"{path} is an address, but a file is expected; download it first"
    path = Path(path)
    try:
        status = path.stat()
    except OSError as error:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return f"{path}: no such file; check the path (relative ones start at {Path.cwd()})"
        return f"{path} cannot be read ({error.strerror}); check the path"
    if stat.S_ISDIR(status.st_mode):
        return f"{path} is a directory, but a recording is expected; name the files in it"
    if not stat.S_ISREG(status.st_mode):
        kind = "a pipe" if stat.S_ISFIFO(status.st_mode) else "a device or a socket"
        return f"{path} is {kind}, but a recording is a file with an end; write it to a file first"
    if not os.access(path, os.R_OK):
        return f"{path} may not be read; allow it with: chmod +r {path}"
    if status.st_size == 0:
        return f"{path} is empty (0 bytes); copy or record it again"
    return ""


def stream_names(files: Sequence[str]) -> list[str]:
    """One for each file: its name without folder and suffix, with a number where another has the same."""
    names: list[str] = []
    for file in files:
        stem = Path(file).stem
        candidates = chain([stem], (f"{stem}-{number}" for number in count(2)))
        names.append(next(name for name in candidates if name not in names))
    return names


def open_recording(path: str | Path, errors: FFmpegErrors) -> InputContainer:
    """Open `path`, and nothing that it names.

    Raises:
        MediaError: it cannot be read, or is none; one frame of it is larger than `MAX_PIXELS`.
    """
    if problem := unreadable(path):
        raise MediaError(problem)
    path = Path(path)
    with errors.capture() as logs:
        try:
            # As an address, so that no name is taken for another protocol; names inside need not be UTF-8.
            container = av.open(
                f"file:{path}",
                metadata_errors="replace",
                container_options=_OPTIONS,
                options={"max_pixels": str(MAX_PIXELS)},  # of the decoders that look what is inside
            )
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = explain(error if isinstance(error, av.error.FFmpegError) else None, logs) or str(error)
            raise MediaError(_problem(path, reason, " ".join(text for _, _, text in logs))) from None
    try:
        _check(path, container, " ".join(text for _, _, text in logs))
    except MediaError:
        container.close()
        raise
    return container


def _check(path: Path, container: InputContainer, logs: str) -> None:
    if container.format.name == "tty":  # FFmpeg plays .txt files as ANSI art
        raise MediaError(_problem(path, "it is a text file", ""))
    for stream in container.streams.video:
        if stream.codec_context is None:  # there is no decoder for it, so PyAV knows nothing of it
            continue
        width, height = stream.width, stream.height
        if not width and any(words in logs for words in _SIZE_REFUSED):
            raise MediaError(_problem(path, "", logs))
        if too_large(width, height):
            raise MediaError(f"{path}: {pixel_problem(width, height)}")
        limit_pixels(stream)


def best_stream(container: InputContainer, kind: Literal["video", "audio"]) -> Any:
    """The stream that a player would take, None if there is none; cover art and thumbnails are no video."""
    still = Disposition.attached_pic | Disposition.timed_thumbnails
    usable = [
        stream
        for stream in container.streams
        if stream.type == kind and stream.codec_context is not None and not stream.disposition & still
    ]
    if not usable:
        return None
    best = container.streams.best(kind)
    chosen = next((stream for stream in usable if best is not None and stream.index == best.index), usable[0])
    # Its own threads made decoding slower where stages share the cores, and would lose what FFmpeg says.
    chosen.codec_context.thread_count = 1
    return chosen


def limit_pixels(stream: Any) -> None:
    """Have the decoder of a video stream refuse larger frames than `MAX_PIXELS`."""
    stream.codec_context.options = {**stream.codec_context.options, "max_pixels": str(MAX_PIXELS)}


def too_large(width: int, height: int) -> bool:
    """Whether a frame of this size is refused."""
    return width * height > MAX_PIXELS


def pixel_problem(width: int, height: int) -> str:
    """What to say of it."""
    return (
        f"{width} × {height} pixels in one picture are more than the {MAX_PIXELS // 1_000_000} million that are read; "
        "make it smaller"
    )


def _problem(path: Path, reason: str, logs: str) -> str:
    if any(words in logs for words in _SIZE_REFUSED):
        return (
            f"{path}: by its header its pictures have more than the {MAX_PIXELS // 1_000_000} million pixels that are "
            "read; make them smaller"
        )
    if "whitelist" in logs:
        with path.open("rb") as file:
            begin = file.read(64).lstrip(b"\xef\xbb\xbf \r\n\t")
        if begin.startswith(_PLAYLISTS):
            return (
                f"{path} is a playlist: it names other files, which are not opened; name the recordings themselves "
                "(a stream from the network is played by network-capture)"
            )
        return f"{path} is of a format that is not read here, since it may name other files; {CONVERT}"
    if "moov atom not found" in reason and _is_mp4(path):
        return (
            f"{path} was cut off before its index (moov) was written, so nothing in it can be found; "
            "copy or record it again, or rebuild the index with a repair tool"
        )
    return (
        f"{path} is not a recording or picture that FFmpeg can read ({reason}); "
        f"copy it again if it is damaged, or {CONVERT}"
    )


def _is_mp4(path: Path) -> bool:
    """Whether it begins with a box of ISO/IEC 14496-12, whatever its name."""
    with path.open("rb") as file:
        return file.read(8)[4:] in (b"ftyp", b"mdat", b"wide", b"free", b"skip")
