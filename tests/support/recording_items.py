"""What is read of a whole recording, and what is said of it."""

from pathlib import Path
from typing import Any

import numpy as np

from emopipe.stages.media.recording import Item, Recording
from emopipe.stages.types import AudioBlock, VideoFrame


def read(path: Path, **settings: Any) -> tuple[list[Item], Recording]:
    """All items, which are the same where they are decoded ahead."""
    with Recording(path, **settings) as recording:
        items = list(recording)
    with Recording(path, ahead=True, **settings) as ahead:
        assert list(map(content, ahead)) == list(map(content, items))
    assert (ahead.damage, ahead.counters) == (recording.damage, recording.counters)
    return items, recording


def content(item: Item) -> tuple[object, ...]:
    match item.payload:
        case VideoFrame(luma=luma, small=small):
            return (*item[:3], luma.tobytes(), small.tobytes())
        case AudioBlock(samples=samples):
            return (*item[:3], samples.tobytes())
    return item[:3]


def pictures(items: list[Item]) -> list[Item]:
    return [item for item in items if isinstance(item.payload, VideoFrame)]


def blocks(items: list[Item]) -> list[Item]:
    return [item for item in items if isinstance(item.payload, AudioBlock)]


def gaps(items: list[Item]) -> list[tuple[str, int, int]]:
    return [(item.kind, item.pts, item.duration) for item in items if item.payload is None]


def heard(items: list[Item]) -> np.ndarray:
    return np.concatenate([item.payload.samples for item in items if isinstance(item.payload, AudioBlock)])
