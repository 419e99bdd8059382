"""Models that outlast the stages they were loaded for, in a process that plays one graph after another.

    with keeping_models():
        ...  # each `kept` of the same key gives the model that the first one has made

Outside of that every stage has a model of its own.
"""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

M = TypeVar("M")

_models: dict[Hashable, Any] | None = None


@contextmanager
def keeping_models() -> Iterator[None]:
    """Keep models until the block ends; one block at a time in a process, and one graph at a time in it."""
    global _models  # noqa: PLW0603
    _models = {}
    try:
        yield
    finally:
        _models = None


def kept(key: Hashable, make: Callable[[], M]) -> M:
    """What `make` makes; where models are kept, what it has made for this key before."""
    if _models is None:
        return make()
    if key not in _models:
        _models[key] = make()
    model: M = _models[key]
    return model
