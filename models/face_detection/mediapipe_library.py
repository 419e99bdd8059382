"""MediaPipe's library, which is not whole on every machine, and brings more than is needed."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import LazyLoader
from types import ModuleType

from emopipe.pipeline.errors import ModelError

_VISION = "mediapipe.tasks.python.vision"
_DRAWING = (f"{_VISION}.drawing_styles", f"{_VISION}.drawing_utils")


class _LazyDrawing(MetaPathFinder):
    """Has MediaPipe's drawings run with their first use: they import matplotlib, which takes far longer than the rest
    and which nothing here draws with."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _DRAWING:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = LazyLoader(spec.loader)
        return spec


@contextmanager
def loading_mediapipe() -> Iterator[None]:
    """Around whatever may load the library: its import, and the first network that is made.

    Raises:
        ModelError: it, or what it is linked against, is not there: a bare server has no OpenGL ES.
    """
    lazy = _LazyDrawing()
    sys.meta_path.insert(0, lazy)
    try:
        yield
    except (ImportError, OSError) as error:
        remedy = "on Debian and Ubuntu: apt install libgl1 libegl1 libgles2"
        raise ModelError(f"MediaPipe cannot be loaded: {error}; {remedy}") from None
    finally:
        sys.meta_path.remove(lazy)
