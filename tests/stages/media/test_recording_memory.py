"""What a recording holds goes with it, and not when Python's collector comes by."""

import gc
import weakref
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest

from emopipe.stages.media.recording import Recording


@pytest.fixture(autouse=True)
def uncollected() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("name", ["base.mkv", "join_back.ts", "slides.mp4"])
@pytest.mark.parametrize("items", [0, 5, None])
def test_it_goes_with_its_last_user(shared_cases: Path, name: str, items: int | None) -> None:
    with Recording(shared_cases / name, small_size=64, luma_size=64) as recording:
        for _ in islice(recording, items):
            pass
    gone = weakref.ref(recording)
    del recording
    assert gone() is None
