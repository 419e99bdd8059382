"""What another run publishes, taken as it was sent; what is no such thing, dropped."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import zmq

from emopipe.graphs.messages import subscription_table
from emopipe.pipeline.access.keys import write_pair
from emopipe.pipeline.graph.load import graph_from_table
from emopipe.pipeline.message import FOREVER, Codec, Message
from emopipe.pipeline.testing import Outputs, StageHarness, eos, gap
from emopipe.stages.messages.subscription import Subscription
from emopipe.stages.sinks.publish import Publish
from emopipe.stages.types import Emotions
from tests.support.factories import result
from tests.support.payloads import Other


@pytest.fixture
def endpoint(tmp_path: Path) -> str:
    return f"ipc://{tmp_path}/emotions"


def subscription(endpoint: str, **settings: Any) -> Subscription:
    return Subscription(Subscription.Settings(endpoint=endpoint, **settings))


async def published(
    endpoint: str, messages: Sequence[Message], giving: dict[str, Any], taking: dict[str, Any]
) -> tuple[Outputs, Subscription]:
    """What a subscription takes of what a publisher sends."""
    stage = subscription(endpoint, **taking)
    async with StageHarness(stage, mode="live") as taker:
        publisher = Publish(Publish.Settings(**{"endpoint": endpoint, "subscribers": 1, "watermarks": True, **giving}))
        async with StageHarness(publisher, mode="live") as giver:
            for message in messages:
                await giver.send("emotions", message)
            await giver.finish()
        await asyncio.wait_for(taker.finish(), 20)
    return taker.outputs, stage


def facts(messages: Sequence[Message]) -> list[tuple[Any, ...]]:
    return [(m.kind, m.stream, m.seq, m.pts, m.duration, m.watermark, m.epoch, m.payload) for m in messages]


MESSAGES = [
    result(0, stream="cam"),
    result(40, stream="cam"),
    gap(80, 40, stream="cam"),
    result(0, stream="desk"),
    eos("desk"),
    eos("cam"),
]


def test_results_are_taken_as_they_were_sent(endpoint: str) -> None:
    outputs, stage = asyncio.run(published(endpoint, MESSAGES, {}, {}))
    taken = [message for message in outputs.messages["emotions"] if message.kind != "watermark"]
    assert facts(taken)[:4] == facts(MESSAGES)[:4]
    assert [(m.kind, m.stream) for m in taken[4:]] == [("eos", "desk"), ("eos", "cam"), ("eos", "")]
    assert (stage.counters["taken"], stage.counters["missed"], stage.counters["refused"]) == (6, 0, 0)
    assert {tuple(hop.stage for hop in message.trace) for message in taken[:4]} == {("subscription",)}


def test_with_keys_they_come_from_another_machine(tmp_path: Path) -> None:
    desk, anna = write_pair(tmp_path, "desk"), write_pair(tmp_path / "allowed", "anna")
    with zmq.Context() as context, context.socket(zmq.PUB) as probe:
        port = probe.bind_to_random_port("tcp://127.0.0.1")
    giving = {
        "endpoint": f"tcp://0.0.0.0:{port}",
        "secret_key": str(desk.secret_file),
        "allow": str(tmp_path / "allowed"),
    }
    taking = {"secret_key": str(anna.secret_file), "server_key": desk.public}
    outputs, _ = asyncio.run(published(f"tcp://127.0.0.1:{port}", MESSAGES, giving, taking))
    assert len(outputs.data("emotions")) == 3


def test_what_is_no_result_is_dropped_and_counted(endpoint: str) -> None:
    codec = Codec(Emotions)
    good, late = result(40, stream="cam"), result(45, stream="cam")
    good.watermark = late.watermark = 50
    other = Message(kind="data", stream="cam", type="Other", payload=Other(x=1))
    sent = [
        [b"emotions/cam", *codec.encode(good)],
        [b"emotions/desk", *codec.encode(good)],
        [b"emotions/cam", *codec.encode(late)],
        [b"emotions/cam", *Codec(Other).encode(other)],
        [b"emotions/cam"],
        [b"emotions/cam", b"junk"],
        [b"emotions/", *codec.encode(Message(kind="eos", stream="", watermark=FOREVER))],
    ]

    async def take() -> tuple[Outputs, Subscription]:
        stage = subscription(endpoint)
        with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
            publisher.bind(endpoint)
            async with StageHarness(stage) as taker:
                assert publisher.recv() == b"\x01emotions/"
                for parts in sent:
                    publisher.send_multipart(parts)
                await asyncio.wait_for(taker.finish(), 20)
        return taker.outputs, stage

    outputs, stage = asyncio.run(take())
    assert [message.pts for message in outputs.data("emotions")] == [40]
    assert stage.counters["refused"] == 5


def test_what_was_missed_is_counted(endpoint: str) -> None:
    codec = Codec(Emotions)

    async def take() -> Subscription:
        stage = subscription(endpoint)
        with zmq.Context() as context, context.socket(zmq.XPUB) as publisher:
            publisher.bind(endpoint)
            async with StageHarness(stage) as taker:
                assert publisher.recv() == b"\x01emotions/"
                for seq in (7, 8, 11):  # it came late, which is no loss, and then missed two
                    message = result(seq, stream="cam")
                    message.seq = seq
                    publisher.send_multipart([b"emotions/cam", *codec.encode(message)])
                end = Message(kind="eos", stream="", watermark=FOREVER)
                publisher.send_multipart([b"emotions/", *codec.encode(end)])
                await asyncio.wait_for(taker.finish(), 20)
        return stage

    assert asyncio.run(take()).counters["missed"] == 2


@pytest.mark.parametrize(
    ("settings", "key", "problem"),
    [
        ({"endpoint": "http://x"}, "endpoint", "is not an address"),
        ({"endpoint": "tcp://10.0.0.1:5560"}, "secret_key", "missing: tcp://10.0.0.1:5560 takes secret_key"),
        ({"endpoint": "tcp://10.0.0.1:5560", "secret_key": "a"}, "server_key", "missing"),
        ({"server_key": "a"}, "secret_key", "missing"),
    ],
)
def test_an_address_that_will_not_do(settings: dict[str, str], key: str, problem: str) -> None:
    ((found, text),) = Subscription.Settings(**settings).check()
    assert (found, problem in text) == (key, True)
    assert Subscription.Settings(endpoint="tcp://127.0.0.1:5560").check() == []


def test_a_run_is_recorded_from_outside_under_the_name_of_what_makes_results() -> None:
    table = subscription_table("tcp://127.0.0.1:5560")
    table["stages"]["out"] = {"use": "jsonl", "path": "/dev/null", "inputs": {"emotions": "fusion.emotions"}}
    graph = graph_from_table(table, "tcp://127.0.0.1:5560")
    assert graph.mode == "live"
    assert graph.stages["fusion"].cls is Subscription
