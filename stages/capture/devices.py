"""Cameras and microphones on Linux, macOS and Windows: what FFmpeg calls them, which there are, what can go wrong."""

import errno
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import NamedTuple

import av
import av.device

from emopipe.pipeline.text import show
from emopipe.stages.capture.reader import Kind, OpenError

NOUN: Mapping[Kind, str] = {"video": "camera", "audio": "microphone"}

_FORMATS: Mapping[str, Mapping[Kind, str]] = {
    "linux": {"video": "v4l2", "audio": "alsa"},
    "darwin": {"video": "avfoundation", "audio": "avfoundation"},
    "win32": {"video": "dshow", "audio": "dshow"},
}
# What is asked for where the graph says nothing. A V4L2 driver takes the nearest it has; AVFoundation wants one that
# it knows, and its own default of 29.97 pictures a second is none.
_OPTIONS: Mapping[tuple[str, Kind], Mapping[str, str]] = {
    ("v4l2", "video"): {"video_size": "640x480", "framerate": "30"},
    ("avfoundation", "video"): {"framerate": "30"},
    ("dshow", "audio"): {"audio_buffer_size": "50"},  # ms; its own default of 500 is what one would hear as an echo
}
_DEFAULTS: Mapping[tuple[str, Kind], str] = {
    ("alsa", "audio"): "default",
    ("avfoundation", "video"): "default",
    ("avfoundation", "audio"): ":default",
}
_ALSA = Path("/usr/share/alsa")
_ALSA_NAMES = ("default", "pulse", "pipewire")  # of those that are no card: the others are libasound's tools
_ALSA_PLUGINS = ("usr/lib/*-linux-gnu*/alsa-lib", "usr/lib64/alsa-lib", "usr/lib/alsa-lib")


class Device(NamedTuple):
    """One camera or microphone: what the setting `device` calls it, and what people do."""

    kind: Kind
    format: str
    device: str
    description: str


def default_format(kind: Kind) -> str:
    """FFmpeg's name of this system's cameras or microphones; empty where it has none that we know."""
    return _FORMATS.get(sys.platform, {}).get(kind, "")


def default_options(format: str, kind: Kind) -> dict[str, str]:
    """What to ask a device for where nothing is said."""
    return dict(_OPTIONS.get((format, kind), {}))


def default_device(format: str, kind: Kind) -> str:
    """The device where none is named; empty if there is none.

    ALSA's own default is the sound server's where one runs (PulseAudio, PipeWire), which is what people choose in
    their desktop's settings; of cameras it is the first.
    """
    if default := _DEFAULTS.get((format, kind)):
        return default
    found = [device.device for device in devices(kind, format)]
    return found[0] if found else {"v4l2": "/dev/video0"}.get(format, "")


def known(format: str) -> bool:
    """Whether this PyAV can read from devices of that name."""
    try:
        return bool(av.format.ContainerFormat(format, "r").is_input)
    except ValueError:
        return False


def device_formats() -> list[str]:
    """The formats of devices that this PyAV has, of those that cameras and microphones come by."""
    wanted = ("v4l2", "alsa", "pulse", "jack", "oss", "avfoundation", "dshow", "gdigrab", "x11grab", "lavfi")
    return [format for format in wanted if known(format)]


def devices(kind: Kind, format: str = "") -> list[Device]:
    """What is there, in the system's order, the default first."""
    format = format or default_format(kind)
    if not format or format == "lavfi" or not known(format):
        return []
    prepare(format)
    if format == "alsa" and not _sound_cards() and not _sound_server():
        return []  # libasound lists its own tools even then
    with _silence():
        try:
            found = av.device.enumerate_input_devices("v4l2" if format == "video4linux2" else format)
        except (av.error.FFmpegError, ValueError):
            return []
    usable = [each for each in found if not each.media_types or kind in each.media_types]
    if format == "alsa":
        usable = [each for each in usable if each.name in _ALSA_NAMES or each.name.startswith(("hw:", "plughw:"))]
    prefix = {("avfoundation", "audio"): ":", ("dshow", "video"): "video=", ("dshow", "audio"): "audio="}
    before = prefix.get((format, kind), "")
    by_name = format != "avfoundation"  # which opens by what people read, not by the identifier that it lists
    names = [
        Device(kind, format, before + (each.name if by_name else each.description), each.description) for each in usable
    ]
    defaults = [each.is_default for each in usable]
    return [device for _, device in sorted(zip(defaults, names, strict=True), key=lambda pair: not pair[0])]


def why_none(kind: Kind) -> str:
    """Why `devices` may have found nothing, and what to do."""
    format = default_format(kind)
    if not format:
        return f"{sys.platform} is no system whose {NOUN[kind]}s are known; set format and device"
    if not known(format):
        return without(format)
    if sys.platform != "linux":
        return f"plug one in, and allow this terminal to use the {NOUN[kind]} in the system's privacy settings"
    nodes = sorted(Path("/dev").glob("video*")) if kind == "video" else sorted(Path("/dev/snd").glob("pcmC*c"))
    shut = [str(node) for node in nodes if not os.access(node, os.R_OK | os.W_OK)]
    if shut:
        return f"{', '.join(shut)} may not be used by this user: {_join_group(kind)}"
    where = "/dev/video*" if kind == "video" else "/dev/snd, and no sound server answers"
    return f"there is no {where}: plug one in; a container or virtual machine must be given it (docker run --device …)"


def without(format: str) -> str:
    """What to do where PyAV lacks a format."""
    return (
        f"this PyAV was built without FFmpeg's {format!r}; it has: {', '.join(device_formats())}; for others install "
        "one that uses the system's FFmpeg: pip install --force-reinstall --no-binary av av"
    )


def explain(kind: Kind, format: str, device: str, options: Mapping[str, str], error: OpenError) -> str:
    """One message for a device that cannot be opened: what, why, and the remedy."""
    noun = NOUN[kind]
    what = f"{noun} {device}" if device else noun
    if not known(format):
        return f"{what}: {without(format)}"
    number = _errno(error)
    if format == "lavfi":
        remedy = "device is a graph of FFmpeg's filters here; see https://ffmpeg.org/ffmpeg-devices.html#lavfi"
    elif number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        remedy = _there_is(kind, format)
        return f"{what}: there is no such {noun}; {remedy}"
    elif number in (errno.EBUSY, errno.EAGAIN):
        seek = f"; fuser -v {device} shows which" if device.startswith("/dev/") else ""
        return f"{what} is in use by another program; close that{seek}"
    elif number in (errno.EACCES, errno.EPERM):
        return f"{what} may not be used by this user; {_join_group(kind)}"
    elif number == errno.ETIMEDOUT:
        remedy = "unplug it and plug it in again, or name another with device"
    elif options:
        asked = ", ".join(f"{name}={value}" for name, value in options.items())
        remedy = f"it was asked for {asked}: leave these settings out, or choose what it has"
    else:
        remedy = _there_is(kind, format)
    return f"{what} cannot be opened ({error.reason}); {remedy}"


def prepare(format: str) -> None:
    """Do what this system needs before a device of that format is opened or listed."""
    if format == "alsa":
        _use_the_systems_alsa()


@cache
def _use_the_systems_alsa() -> None:
    """Let libasound find the system's configuration and plugins, without which there is not even a `default`.

    The one inside PyAV's wheels looks for them where it was built. The plugins lead to PulseAudio and PipeWire.
    """
    if not (_ALSA / "alsa.conf").is_file():
        return
    os.environ.setdefault("ALSA_CONFIG_PATH", str(_ALSA / "alsa.conf"))
    os.environ.setdefault("ALSA_CONFIG_DIR", str(_ALSA))
    found = (folder for pattern in _ALSA_PLUGINS for folder in sorted(Path("/").glob(pattern)))
    if (plugins := next(found, None)) is not None:
        os.environ.setdefault("ALSA_PLUGIN_DIR", str(plugins))


def _sound_cards() -> bool:
    return any(Path("/dev/snd").glob("pcmC*c"))


def _sound_server() -> bool:
    folder = Path(os.environ.get("XDG_RUNTIME_DIR", f"/run/user/{os.getuid()}"))
    sockets = (folder / "pulse/native", folder / "pipewire-0")
    return "PULSE_SERVER" in os.environ or any(socket.exists() for socket in sockets)


def _errno(error: OpenError) -> int | None:
    """The system's reason; libasound tells FFmpeg only in words."""
    said = (
        number
        for number in (errno.ENOENT, errno.ENODEV, errno.EBUSY, errno.EACCES, errno.EPERM)
        if os.strerror(number) in error.reason
    )
    return next(said, error.errno)


def _there_is(kind: Kind, format: str) -> str:
    found = devices(kind, format)
    if found:
        return f"there is: {', '.join(f'{each.device} ({each.description})' for each in found)}; name one with device"
    return f"none is found: {why_none(kind)}"


def _join_group(kind: Kind) -> str:
    if sys.platform != "linux":
        return f"allow this terminal to use the {NOUN[kind]} in the system's privacy settings"
    return f"join its group and log in again: sudo usermod -aG {kind} $USER"


@contextmanager
def _silence() -> Iterator[None]:
    """libasound writes to standard error, whatever its caller wants."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def table(found: Sequence[Device]) -> str:
    """The tables of a graph that use these devices: the first camera and the first microphone."""
    lines: list[str] = []
    for kind in NOUN:
        for device in [each for each in found if each.kind == kind][:1]:
            lines += [f"[stages.{NOUN[device.kind]}]", f'use = "{NOUN[device.kind]}"']
            lines += [f"format = {show(device.format)}", f"device = {show(device.device)}", ""]
    return "\n".join(lines)
