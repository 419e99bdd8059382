"""MediaPipe's library, which is not whole on every machine, and brings more than is needed."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import ModuleType
from typing import Any

from emopipe.pipeline.errors import ModelError

_VISION = "mediapipe.tasks.python.vision"
_DRAWING = (f"{_VISION}.drawing_styles", f"{_VISION}.drawing_utils")


class _OnFirstUse(Loader):
    """Runs a module once a name is asked for that it would have.

    `importlib.util.LazyLoader` would run it when anybody asks for its `__file__`, as `inspect` does of all modules,
    and so does torch when it is imported.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._lock = RLock()  # who comes while another thread runs it waits
        self._begun = False

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        def find(name: str) -> Any:
            if not name.startswith("__"):
                with self._lock:
                    if not self._begun:
                        self._begun = True
                        self._loader.exec_module(module)
            if name not in vars(module):
                raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
            return vars(module)[name]

        vars(module)["__getattr__"] = find


class _DrawingFinder(MetaPathFinder):
    """Finds MediaPipe's drawings, which import matplotlib: that takes far longer than all else, and nothing here draws
    with it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in _DRAWING:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _OnFirstUse(spec.loader)
        return spec


_FINDER = _DrawingFinder()


@contextmanager
def loading_mediapipe() -> Iterator[None]:
    """Around whatever may load the library: its import, and the first network that is made.

    Raises:
        ModelError: it, or what it is linked against, is not there: a bare server has no OpenGL ES.
    """
    if _FINDER not in sys.meta_path:  # and there it stays: another thread may be going through the list
        sys.meta_path.insert(0, _FINDER)
    try:
        yield
    except (ImportError, OSError) as error:
        remedy = "on Debian and Ubuntu: apt install libgl1 libegl1 libgles2"
        raise ModelError(f"MediaPipe cannot be loaded: {error}; {remedy}") from None
