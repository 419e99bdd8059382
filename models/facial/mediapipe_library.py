"""MediaPipe's library, which is not whole on every machine."""

from collections.abc import Iterator
from contextlib import contextmanager

from emopipe.pipeline.errors import ModelError


@contextmanager
def loading_mediapipe() -> Iterator[None]:
    """Around whatever may load the library: its import, and the first network that is made.

    Raises:
        ModelError: it, or what it is linked against, is not there: a bare server has no OpenGL ES.
    """
    try:
        yield
    except (ImportError, OSError) as error:
        remedy = "on Debian and Ubuntu: apt install libgl1 libegl1 libgles2"
        raise ModelError(f"MediaPipe cannot be loaded: {error}; {remedy}") from None
