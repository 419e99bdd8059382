"""The names that a graph may give to streams."""

from emopipe.pipeline.message import MAX_STREAM_CHARS
from emopipe.pipeline.port import Invalid
from emopipe.pipeline.text import show


def check_stream_name(name: str) -> list[Invalid]:
    """What is wrong with a setting `stream`; a name with a slash is a caller's, `webrtc/anna`, and nobody else's."""
    if "/" in name:
        return [Invalid("stream", f"{show(name)} holds a /, as the names of callers do; choose a name without")]
    if not name.isprintable() or len(name) > MAX_STREAM_CHARS:
        return [Invalid("stream", f"{show(name)} cannot be shown; choose a short name of letters, digits and spaces")]
    return []
