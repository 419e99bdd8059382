"""Order by due time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emopipe.pipeline.clock import MS
from emopipe.stages.capture.pacing import ITEM_BYTES, due, in_time
from emopipe.stages.media.tracks import Item
from emopipe.stages.types import AudioBlock


def video(at: int) -> Item:
    return Item("video", at * MS, 40 * MS, None)


def audio(at: int) -> Item:
    return Item("audio", at * MS, 64 * MS, AudioBlock(samples=np.zeros(128, np.float32)))


def test_sound_is_due_when_it_is_complete() -> None:
    assert due(audio(100)) == 164 * MS
    assert due(video(100)) == 100 * MS


def test_a_decoder_that_is_late_does_not_delay_the_other_track() -> None:
    items = [audio(0), audio(64), audio(128), video(0), video(40), video(80), audio(192), video(120)]
    ordered = list(in_time(items, ["video", "audio"]))
    assert ordered == sorted(items, key=due)


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 500)), max_size=200))
def test_nothing_is_lost_each_track_keeps_its_order_and_little_is_held(steps: list[tuple[bool, int]]) -> None:
    at = {"video": 0, "audio": 0}
    items = []
    for is_video, step in steps:
        kind = "video" if is_video else "audio"
        at[kind] += step if is_video else 64 + step
        items.append(video(at[kind]) if is_video else audio(at[kind]))
    taken = 0

    def source():
        nonlocal taken
        for item in items:
            taken += 1
            yield item

    ordered = []
    for item in in_time(source(), ["video", "audio"], max_ahead=32 * ITEM_BYTES):
        ordered.append(item)
        assert taken - len(ordered) <= 32
    for kind in at:
        assert [i for i in ordered if i.kind == kind] == [i for i in items if i.kind == kind]
    if len(items) <= 16:
        assert [due(item) for item in ordered] == sorted(due(item) for item in items)


def test_one_track_is_passed_on_at_once() -> None:
    items = iter([video(0), video(40)])
    ordered = in_time(items, ["video"])
    assert next(ordered) == video(0)
    assert next(items) == video(40)
