"""Addresses of network streams: which there are, and how to speak of one without giving away its password."""

import errno
from urllib.parse import parse_qsl, unquote, urlsplit

from emopipe.stages.capture.reader import OpenError

PUSHED = frozenset({"rtsp", "rtsps", "rtmp", "rtmps", "udp", "rtp", "srt", "tcp"})
"""What comes by these comes as it happens; the others are fetched."""

SCHEMES = PUSHED | {"http", "https"}


def problem(uri: str) -> str:
    """Why `uri` can be no address of a stream; empty if it may be one."""
    if not uri:
        return "is empty; expected the address of a stream, such as rtsp://camera.local/stream"
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port  # the port is looked at only when it is asked for
    except ValueError as error:
        return f"{shown(uri)} is no address: {error}"
    if "://" not in uri or scheme(uri) not in SCHEMES:
        instead = "a recording is played by file-capture" if "://" not in uri else f"known are {', '.join(_sorted())}"
        return f"{shown(uri)} is no address of a stream; expected one such as rtsp://camera.local/stream ({instead})"
    return "" if host or scheme(uri) in ("udp", "rtp", "tcp", "srt") else f"{shown(uri)} names no host"


def scheme(uri: str) -> str:
    """The protocol, in small letters."""
    return uri.partition(":")[0].lower()


def shown(uri: str) -> str:
    """`uri` as it may be printed: without user and password, and without the values after its `?`."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "the address"
    place = parts.netloc.rpartition("@")[2]
    if not parts.scheme or "://" not in uri:
        return uri
    hidden = "***@" if "@" in parts.netloc else ""
    return f"{parts.scheme}://{hidden}{place}{parts.path}{'?…' if parts.query else ''}"


def scrub(text: str, uri: str) -> str:
    """`text` without what `shown` hides of `uri`."""
    text = text.replace(uri, shown(uri))
    for secret in secrets(uri):
        text = text.replace(secret, "***")
    return text


def secrets(uri: str) -> list[str]:
    """What nobody else should read of `uri`, the longest first: its password, and the values after its `?`."""
    try:
        parts = urlsplit(uri)
        found = [parts.password or "", parts.query, *(value for _, value in parse_qsl(parts.query))]
    except ValueError:
        return []
    return [each for each in sorted({*found, *map(unquote, found)}, key=len, reverse=True) if len(each) > 2]


def explain(uri: str, error: OpenError, timeout: float) -> str:
    """One message for a stream that cannot be opened: what, why, and the remedy."""
    what = shown(uri)
    reason = scrub(error.reason, uri)
    if "Failed to resolve" in reason:
        return f"{what}: there is no host of that name ({reason}); check it, and that this machine is connected"
    match error.errno:
        case errno.ECONNREFUSED:
            return f"{what}: nothing listens there; start the camera or server, or check host and port"
        case errno.EHOSTUNREACH | errno.ENETUNREACH:
            return f"{what} cannot be reached ({reason}); check the host and this machine's network"
        case errno.EADDRINUSE:
            return f"{what} is taken by another program; choose another port"
    if error.errno in (errno.ETIMEDOUT, _EXIT):
        return f"{what}: no stream came within {timeout:g} s; check the address, or raise timeout"
    if "401" in reason or "403" in reason or "nauthorized" in reason:
        return f"{what} refuses: user or password is wrong or missing; write rtsp://USER:PASSWORD@HOST/… in uri"
    if "404" in reason:
        return f"{what}: the server has no such stream; check the path"
    if "Protocol not found" in reason:
        return (
            f"{what}: this PyAV was built without {scheme(uri)}; use another protocol, or install one that uses the "
            "system's FFmpeg: pip install --force-reinstall --no-binary av av"
        )
    if "Invalid data" in reason:
        return f"{what} gives no stream that FFmpeg can read ({reason}); check the address with a player"
    return f"{what} cannot be opened ({reason}); check the address with a player, or choose another transport"


_EXIT = 1414092869  # FFmpeg's AVERROR_EXIT: its interrupt callback said that time was up


def _sorted() -> list[str]:
    return [f"{scheme}://" for scheme in sorted(SCHEMES)]
