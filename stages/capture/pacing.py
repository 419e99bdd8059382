"""What sources share: items ordered by when they are due, decoded a little ahead, and sent with honest watermarks."""

import asyncio
import heapq
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from itertools import islice

from emopipe.pipeline.message import Placement
from emopipe.pipeline.source import Source
from emopipe.stages.media.tracks import Item
from emopipe.stages.types import AudioBlock, VideoFrame

BATCH_ITEMS = 4  # items decoded in one go, while those before are sent
FAST_BATCH_ITEMS = 8  # the same where nobody waits for the first of them
ITEM_BYTES = 512  # what an item costs beside its payload
MAX_AHEAD_BYTES = 32 << 20  # of items looked through, at most, for the one that is due first


def due(item: Item) -> int:
    """When a live source would have it (ns of running time): a frame at its pts, audio once it is complete."""
    return item.pts + (item.duration if isinstance(item.payload, AudioBlock) else 0)


def in_time(items: Iterable[Item], kinds: Sequence[str], max_ahead: int = MAX_AHEAD_BYTES) -> Iterator[Item]:
    """`items` in the order in which they are due, whatever their container's order and their decoders' delays.

    Looks ahead only until each of the tracks `kinds` has come as far, and by `max_ahead` bytes at most.
    """
    waiting: list[tuple[int, int, Item]] = []
    newest = dict.fromkeys(kinds, -1)
    size = 0
    for number, item in enumerate(items):
        heapq.heappush(waiting, (due(item), number, item))
        size += _bytes(item)
        newest[item.kind] = due(item)
        safe = min(newest.values())
        while waiting and (waiting[0][0] <= safe or size > max_ahead):
            first = heapq.heappop(waiting)[2]
            size -= _bytes(first)
            yield first
    while waiting:
        yield heapq.heappop(waiting)[2]


def _bytes(item: Item) -> int:
    """What an item takes in memory."""
    match item.payload:
        case VideoFrame(luma=luma, small=small):
            return ITEM_BYTES + luma.nbytes + small.nbytes
        case AudioBlock(samples=samples):
            return ITEM_BYTES + samples.nbytes
    return ITEM_BYTES


async def ahead(source: Source, items: Iterator[Item], batch: int = BATCH_ITEMS) -> AsyncGenerator[Item, None]:
    """`items`, made in the source's own thread: the next `batch` while these are used, and no more; at first fewer, so
    that the first is soon there.

    To be closed (`contextlib.aclosing`) before what `items` reads from is.
    """

    def take(count: int) -> list[Item]:
        return list(islice(items, count))

    coming = asyncio.create_task(source.compute(take, 1))
    try:
        while taken := await coming:
            coming = asyncio.create_task(source.compute(take, min(2 * len(taken), batch)))
            for item in taken:
                yield item
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)


async def send(source: Source, item: Item, stream: str, seen: int | None = None) -> None:
    """Emit `item` on the output named after its kind; `seen` is when it was due (monotonic ns), if it was at all."""
    kind, pts, duration, payload = item
    # Audio fills its time; after a frame the next one may come at any later moment.
    watermark = pts + 1 if isinstance(payload, VideoFrame) else pts + duration
    place = Placement(stream=stream, pts=pts, duration=duration, watermark=watermark)
    if seen is not None:
        place["seen"] = seen
    if payload is None:
        await source.emit_gap(kind, **place)
    else:
        await source.emit(kind, payload, **place)


def content(item: Item) -> tuple[str, int]:
    """What an item counts as, and how much: `frames` or `samples`; a gap is none of either."""
    if isinstance(item.payload, AudioBlock):
        return "samples", len(item.payload.samples)
    return "frames", int(item.payload is not None and item.kind == "video")
