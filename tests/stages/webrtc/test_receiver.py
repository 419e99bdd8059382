"""The queue in front of a decoder: bounded, and no picture is decoded that would take too much."""

from types import SimpleNamespace
from typing import Any

import pytest

from emopipe.stages.webrtc.receiver import MAX_WAITING_FRAMES, DecoderQueue, TapCallbacks

KEY = b"\x10\x02\x00\x9d\x01\x2a" + (640).to_bytes(2, "little") + (360).to_bytes(2, "little") + b"data"
DELTA = b"\x11\x02\x00data"
VP8, H264, OPUS = SimpleNamespace(name="VP8"), SimpleNamespace(name="H264"), SimpleNamespace(name="opus")


class Events:
    def __init__(self) -> None:
        self.dropped = 0
        self.too_large: list[tuple[int, int]] = []
        self.asked = 0

    def queue(self, kind: str = "video", max_size: int = 1920) -> DecoderQueue:
        def drop(frames: int) -> None:
            self.dropped += frames

        def ask() -> None:
            self.asked += 1

        callbacks = TapCallbacks(
            lambda media: None, lambda media, sender: None, lambda *size: self.too_large.append(size), drop
        )
        return DecoderQueue(kind, max_size, callbacks, ask)


def item(codec: Any, data: bytes) -> Any:
    return codec, SimpleNamespace(data=data)


def test_frames_pass_in_order_while_the_decoder_keeps_up() -> None:
    events = Events()
    queue = events.queue()
    frames = [item(VP8, KEY), *(item(VP8, DELTA) for _ in range(MAX_WAITING_FRAMES["video"] - 1))]
    for frame in frames:
        queue.put(frame)
    assert [queue.get() for _ in frames] == frames
    assert (events.dropped, events.asked) == (0, 0)


@pytest.mark.parametrize(("codec", "key"), [(VP8, KEY), (H264, b"\x00\x00\x00\x01\x67sps\x00\x00\x01\x65idr")])
def test_pictures_begin_again_with_a_key_frame_when_the_decoder_fell_behind(codec: Any, key: bytes) -> None:
    events = Events()
    queue = events.queue()
    most = MAX_WAITING_FRAMES["video"]
    for _ in range(most + 3):
        queue.put(item(codec, DELTA))
    assert queue.qsize() == 0
    assert events.dropped == most + 3
    assert events.asked > 0
    queue.put(item(codec, key))
    queue.put(item(codec, DELTA))
    assert queue.qsize() == 2
    assert events.dropped == most + 3


def test_sound_needs_no_key_frame() -> None:
    events = Events()
    queue = events.queue("audio")
    for _ in range(MAX_WAITING_FRAMES["audio"] + 1):
        queue.put(item(OPUS, b"sound"))
    assert queue.qsize() == 1
    assert events.dropped == MAX_WAITING_FRAMES["audio"]


def test_a_picture_that_would_take_gigabytes_is_not_decoded() -> None:
    events = Events()
    queue = events.queue()
    bomb = KEY[:6] + (16383).to_bytes(2, "little") * 2 + b"x"
    queue.put(item(VP8, bomb))
    assert queue.qsize() == 0
    assert events.too_large == [(16383, 16383)]


def test_the_end_comes_before_all_that_waits() -> None:
    queue = Events().queue()
    for _ in range(10):
        queue.put(item(VP8, KEY))
    queue.put(None)
    assert queue.get() is None
