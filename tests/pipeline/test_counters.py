"""emopipe.pipeline.counters: counts by stream are exact for open streams, and bounded however many have ended."""

from emopipe.pipeline.counters import StreamCounters


def test_counts_are_kept_by_stream_and_name() -> None:
    counters = StreamCounters()
    counters.add("a", "frames")
    counters.add("a", "frames", 2)
    counters.add("b", "dropped")
    assert counters.snapshot() == {"a": {"frames": 3}, "b": {"dropped": 1}}


def test_of_ended_streams_the_last_few_are_remembered() -> None:
    counters = StreamCounters(remembered=2)
    for stream in "abcd":
        counters.add(stream, "frames")
    for stream in "abc":
        counters.end(stream)
    assert list(counters.snapshot()) == ["b", "c", "d"]
    assert counters.others == {"frames": 1}


def test_a_stream_that_is_back_is_not_forgotten() -> None:
    counters = StreamCounters(remembered=1)
    counters.add("a", "frames")
    counters.end("a")
    counters.add("a", "frames")
    for other in "bcd":
        counters.add(other, "frames")
        counters.end(other)
    assert counters.snapshot() == {"a": {"frames": 2}, "d": {"frames": 1}}


def test_the_end_of_a_stream_without_counts_leaves_nothing() -> None:
    counters = StreamCounters()
    counters.end("a")
    assert counters.snapshot() == {}
