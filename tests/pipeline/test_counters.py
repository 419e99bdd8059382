"""emopipe.pipeline.counters: counts by stream are exact for open streams, and bounded however many have ended."""

from emopipe.pipeline.counters import Tally


def test_counts_are_kept_by_stream_and_name() -> None:
    tally = Tally()
    tally.add("a", "frames")
    tally.add("a", "frames", 2)
    tally.add("b", "dropped")
    assert tally.table() == {"a": {"frames": 3}, "b": {"dropped": 1}}


def test_of_ended_streams_the_last_few_are_remembered() -> None:
    tally = Tally(remembered=2)
    for stream in "abcd":
        tally.add(stream, "frames")
    for stream in "abc":
        tally.end(stream)
    assert list(tally.table()) == ["b", "c", "d"]


def test_a_stream_that_is_back_is_not_forgotten() -> None:
    tally = Tally(remembered=1)
    tally.add("a", "frames")
    tally.end("a")
    tally.add("a", "frames")
    for other in "bcd":
        tally.add(other, "frames")
        tally.end(other)
    assert tally.table() == {"a": {"frames": 2}, "d": {"frames": 1}}


def test_the_end_of_a_stream_without_counts_leaves_nothing() -> None:
    tally = Tally()
    tally.end("a")
    assert tally.table() == {}
