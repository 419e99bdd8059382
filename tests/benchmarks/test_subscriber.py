"""What a subscriber makes of the messages of one stream."""

from benchmarks.subscriber import Subscriber
from emopipe.pipeline.message import Hop
from emopipe.pipeline.testing import eos, gap
from tests.support.factories import result


def test_a_subscriber_counts_what_came_and_what_did_not() -> None:
    subscriber = Subscriber("ipc:///nowhere")
    trace = [Hop("capture", 1000, 2000)]
    subscriber.take(result(7, {0: "sad"}, stream="a", seq=0, trace=trace), 9000)
    subscriber.take(result(8, {}, "sad", stream="a", seq=1, trace=trace), 9100)
    late = gap(9, 1, stream="a")
    late.seq = 4
    subscriber.take(late, 9200)
    end = eos("a")
    end.seq = 6
    subscriber.take(end, 9300)
    told = subscriber.streams["a"]
    assert told.times == [(7, 2000, 9000)]
    assert (told.windows, told.lost, told.began, told.ended) == (1, 3, 9000, 9300)
    assert told.ages(base_time=100) == [8893]
