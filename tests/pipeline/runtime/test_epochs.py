"""pipeline.runtime.epochs: a source's stream that comes back, or jumps, is told apart from what it was before."""

from emopipe.pipeline.counters import REMEMBERED
from emopipe.pipeline.runtime.source_host import SourceEpochs


def epochs() -> SourceEpochs:
    return SourceEpochs(["video", "audio"])


def end(source: SourceEpochs, stream: str, bound: int) -> None:
    assert not source.end(stream, "video", bound)
    assert source.end(stream, "audio", bound)


def test_a_stream_begins_in_epoch_0_and_stays_there() -> None:
    source = epochs()
    assert source.emit("s", "video", 5) == []
    assert source.emit("s", "video", 6) == []
    assert source.epoch("s") == 0


def test_a_stream_that_goes_on_after_its_end_keeps_its_epoch() -> None:
    source = epochs()
    source.emit("s", "video", 5)
    end(source, "s", 6)
    source.emit("s", "audio", 6)
    assert source.epoch("s") == 0


def test_a_stream_that_begins_anew_is_in_the_next_epoch() -> None:
    source = epochs()
    source.emit("s", "video", 5)
    end(source, "s", 6)
    source.emit("s", "video", 0)
    source.emit("s", "audio", 0)
    assert source.epoch("s") == 1


def test_also_where_one_output_is_said_to_be_empty_first() -> None:
    source = epochs()
    end(source, "s", 6)
    source.end("s", "audio", 0)
    assert source.emit("s", "video", 0) == ["audio"]
    assert source.epoch("s") == 1


def test_an_output_that_had_ended_is_said_to_have_ended_once_in_each_epoch() -> None:
    source = epochs()
    source.end("s", "audio", 0)
    assert source.emit("s", "video", 7) == []
    source.jump("s")
    assert source.emit("s", "video", 1) == ["audio"]
    assert source.emit("s", "video", 2) == []
    assert source.epoch("s") == 1


def test_one_output_that_comes_back_earlier_than_it_had_ended() -> None:
    source = epochs()
    source.emit("s", "video", 7)
    source.end("s", "audio", 9)
    source.emit("s", "audio", 9)
    assert source.epoch("s") == 0
    source.end("s", "audio", 10)
    source.emit("s", "audio", 3)
    assert source.epoch("s") == 1


def test_nothing_grows_with_the_number_of_streams() -> None:
    source = epochs()
    for number in range(5 * REMEMBERED):
        source.emit(f"s{number}", "video", 9)
        end(source, f"s{number}", 10)
    assert source._open == {}
    assert len(source._over) == REMEMBERED
