"""Streams of several shards, in their order."""

import random

from emopipe.pipeline.join import Turns
from emopipe.pipeline.message import FOREVER, Message

ORDER = {"a": 0, "b": 1, "c": 0, "d": 1}


def data(stream: str) -> Message:
    return Message(kind="data", stream=stream)


def end(stream: str) -> Message:
    return Message(kind="eos", stream=stream, watermark=FOREVER)


def link(*streams: str) -> list[Message]:
    """What one link brings: two messages of each stream, and its end."""
    return [each for stream in streams for each in (data(stream), data(stream), end(stream))] + [end("")]


def taken(arrivals: list[tuple[int, Message]], order: dict[str, int] = ORDER) -> list[str]:
    turns: Turns[str] = Turns(order)
    return [item for shard, each in arrivals for item in turns.take(shard, each, f"{each.kind} {each.stream}")]


IN_ORDER = [f"{kind} {stream}" for stream in ORDER for kind in ("data", "data", "eos")] + ["eos ", "eos "]


def test_streams_come_in_their_order_whoever_is_ahead() -> None:
    links = {0: link("a", "c"), 1: link("b", "d")}
    for seed in range(200):
        chance, left = random.Random(seed), {shard: list(each) for shard, each in links.items()}
        arrivals = []
        while any(left.values()):
            shard = chance.choice([shard for shard, each in left.items() if each])
            arrivals.append((shard, left[shard].pop(0)))
        assert taken(arrivals) == IN_ORDER


def test_what_is_in_turn_does_not_wait() -> None:
    turns: Turns[str] = Turns(ORDER)
    assert list(turns.take(1, data("b"), "early")) == []
    assert list(turns.take(0, data("a"), "now")) == ["now"]
    assert list(turns.take(0, end("a"), "end")) == ["end", "early"]
    assert list(turns.take(1, data("b"), "next")) == ["next"]


def test_a_stream_that_never_comes_is_passed_over() -> None:
    assert taken([(1, data("b")), (0, data("c"))]) == ["data b"]
    assert taken([(1, data("b")), (1, end("b")), (0, end(""))]) == ["data b", "eos b"]
    assert taken([(0, end("")), (1, end(""))]) == ["eos ", "eos "]


def test_what_comes_again_of_a_stream_whose_turn_is_over_does_not_wait() -> None:
    turns: Turns[str] = Turns(ORDER)
    assert list(turns.take(0, end("a"), "end")) == ["end"]
    assert list(turns.take(0, end("a"), "again")) == ["again"]
    assert list(turns.take(1, data("b"), "b")) == ["b"]
