"""What a page that opens late is told of the time before."""

from emopipe.pipeline.clock import SECOND
from emopipe.stages.web.history import MAX_ENDED_STREAMS, ResultHistory


def test_streams_that_have_ended_are_forgotten_in_the_end() -> None:
    history = ResultHistory(SECOND)
    for number in range(2000):
        assert history.begin(f"peer-{number}")
        history.add(f"peer-{number}", 0, b"{}", decimate=True)
        history.end(f"peer-{number}")
    assert history.begin("still here")
    assert len(history.streams()) == MAX_ENDED_STREAMS + 1
    assert history.begin("peer-1999")
    assert history.streams()[-2:] == [{"stream": "still here", "ended": False}, {"stream": "peer-1999", "ended": False}]
    assert history.texts("peer-1999") == []


def test_the_past_begins_anew_where_time_jumps_back() -> None:
    history = ResultHistory(10 * SECOND)
    history.begin("a")
    history.add("a", 5 * SECOND, b"1", decimate=True)
    history.add("a", 0, b"2", decimate=True)
    assert history.texts("a") == [b'{"type":"history","results":[2]}']
