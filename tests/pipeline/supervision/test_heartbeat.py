"""Busy is who is at the same message, or in the same call, from heartbeat to heartbeat."""

from emopipe.pipeline.supervision.heartbeat import BEAT_S, BusyTimes


def test_the_same_message_or_call_counts_and_another_begins_anew() -> None:
    times = BusyTimes()
    assert times.beat({"faces": (7, None), "sink": (None, None)}) == {}
    assert times.beat({"faces": (7, 3), "sink": (None, None)}) == {"faces": BEAT_S}
    assert times.beat({"faces": (8, 3), "sink": (None, None)}) == {"faces": 2 * BEAT_S}  # in the same call
    assert times.beat({"faces": (8, 4), "sink": (1, None)}) == {"faces": 3 * BEAT_S}
    assert times.beat({"faces": (9, 5), "sink": (1, None)}) == {"sink": BEAT_S}
    assert times.beat({"faces": (None, None), "sink": (None, None)}) == {}
