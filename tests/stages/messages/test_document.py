"""A recorded message: what is kept is what was sent, and nothing else is read as one."""

import contextlib
import json

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from emopipe.pipeline.message import WIRE_VERSION, Hop, Message, Payload, WireError
from emopipe.stages import types
from emopipe.stages.messages.document import DocumentCodec, schema, schema_problem
from tests.support.payloads import Other

NS = st.integers(-(2**63), 2**63 - 1)
COUNTS = st.integers(0, 2**63 - 1)
FLOATS = st.floats(width=32)


class Scene(Payload):
    """Whatever a payload can hold."""

    picture: NDArray[np.uint8]
    sounds: list[NDArray[np.float32]]
    score: float
    names: dict[str, int]
    box: tuple[float, float] | None = None


SCENES = st.builds(
    Scene,
    picture=arrays.arrays(np.uint8, arrays.array_shapes(max_dims=3, min_side=0, max_side=5)),
    sounds=st.lists(arrays.arrays(np.float32, st.integers(0, 6), elements=FLOATS), max_size=3),
    score=st.floats(),
    names=st.dictionaries(st.text(), NS, max_size=3),
    box=st.none() | st.tuples(st.floats(), st.floats()),
)
HOPS = st.lists(st.builds(Hop, st.text(), NS, NS), max_size=3)


@given(
    st.sampled_from(["data", "gap", "watermark", "eos"]), SCENES, st.text(), st.tuples(COUNTS, NS, NS, NS, COUNTS), HOPS
)
def test_a_message_is_kept_exactly(
    kind: str, scene: Scene, stream: str, numbers: tuple[int, ...], trace: list[Hop]
) -> None:
    seq, pts, duration, watermark, epoch = numbers
    there = kind == "data"
    sent = Message(
        kind=kind,  # type: ignore[arg-type]
        stream=stream,
        seq=seq,
        pts=pts,
        duration=duration,
        watermark=watermark,
        epoch=epoch,
        trace=trace,
        type="Scene" if there else "",
        payload=scene if there else None,
    )
    codec = DocumentCodec(Scene)
    document = codec.encode(sent)
    got = codec.decode(document)
    assert msgspec.structs.replace(got, payload=None) == msgspec.structs.replace(sent, payload=None)
    if there:
        assert got.payload.picture.shape == scene.picture.shape
        assert got.payload.picture.tobytes() == scene.picture.tobytes()
        assert [each.tobytes() for each in got.payload.sounds] == [each.tobytes() for each in scene.sounds]
    assert codec.encode(got) == document


def test_any_reader_of_messagepack_finds_the_header_and_the_arrays() -> None:
    scene = Scene(picture=np.arange(6, dtype=np.uint8).reshape(2, 3), sounds=[], score=0.5, names={})
    message = Message(kind="data", stream="cam", pts=7, type="Scene", payload=scene)
    document = msgspec.msgpack.decode(DocumentCodec(Scene).encode(message))
    assert document["message"]["stream"] == "cam"
    assert document["message"]["payload"]["picture"] == {"frame": 1, "dtype": "|u1", "shape": [2, 3]}
    assert document["arrays"] == [bytes(range(6))]


def nested(depth: int) -> bytes:
    return b"\x91" * depth + b"\xc0"


def header(**fields: object) -> dict[str, object]:
    return {"kind": "data", "stream": "cam", "type": "Other", "payload": {"x": 1}, "version": WIRE_VERSION, **fields}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "not a recorded message"),
        (b"\xc1 junk", "not a recorded message"),
        (
            msgspec.msgpack.encode({"message": header()}),
            "not a recorded message: Object missing required field `arrays`",
        ),
        (
            msgspec.msgpack.encode({"message": header(), "arrays": [b""] * 20_000}),
            "a message of 20001 parts, .* more than 4096 parts",
        ),
        (
            msgspec.msgpack.encode({"message": header(type="Sample"), "arrays": []}),
            "'Sample', but 'Other' was expected",
        ),
        (msgspec.msgpack.encode({"message": header(version=9), "arrays": []}), "wire format version 9"),
        (msgspec.msgpack.encode({"message": header(payload={"x": "y"}), "arrays": []}), "Expected `int`, got `str`"),
        (b"\x82\xa7message" + nested(100_000) + b"\xa6arrays\x90", "not a"),
    ],
)
def test_what_is_no_message_of_the_type_is_refused(data: bytes, problem: str) -> None:
    with pytest.raises(WireError, match=problem.replace("(", r"\(")):
        DocumentCodec(Other).decode(data)


@given(st.binary(max_size=200))
def test_no_bytes_do_anything_but_decode_or_be_refused(data: bytes) -> None:
    with contextlib.suppress(WireError):
        DocumentCodec(Scene).decode(data)


def test_the_schema_says_what_is_in_a_document() -> None:
    found = json.loads(schema(types.SpeechEmotion))
    assert found["required"] == ["message", "arrays"]
    speech = found["$defs"]["SpeechEmotion"]["properties"]
    assert speech["probabilities"] == {"type": "array", "items": {"type": "number"}}
    assert set(speech["timbre"]["properties"]) == {"frame", "dtype", "shape"}
    assert {"$ref": "#/$defs/SpeechEmotion"} in found["$defs"]["Message"]["properties"]["payload"]["anyOf"]


@pytest.mark.parametrize("payload", [types.Emotions, types.Faces, types.VideoFrame, types.SpeechWindow])
def test_a_type_fits_its_own_schema(payload: type[Payload]) -> None:
    assert schema_problem(schema(payload), payload) is None


def versions() -> tuple[type[Payload], type[Payload], type[Payload], type[Payload]]:
    """A type, with one more field that has a default, with one that has none, and with a field of another type."""
    today = msgspec.defstruct("Score", [("value", float)], bases=(Payload,), kw_only=True)
    more = msgspec.defstruct("Score", [("value", float), ("note", str, "")], bases=(Payload,), kw_only=True)
    strict = msgspec.defstruct("Score", [("value", float), ("note", str)], bases=(Payload,), kw_only=True)
    other = msgspec.defstruct("Score", [("value", str)], bases=(Payload,), kw_only=True)
    return today, more, strict, other  # type: ignore[return-value]


def test_a_field_with_a_default_may_come_and_go_and_no_other() -> None:
    today, more, strict, other = versions()
    assert schema_problem(schema(today), more) is None
    assert schema_problem(schema(more), today) is None
    assert schema_problem(schema(today), strict) == "Score had no field 'note' then"
    assert schema_problem(schema(today), other) == "field 'value' of Score was of another type then"


@pytest.mark.parametrize("recorded", [b"", b"[]", b"{}", b'{"$defs": 1}', b'{"$defs": {"Score": 1}}', b"\xff"])
def test_a_schema_that_cannot_be_read_fits_nothing(recorded: bytes) -> None:
    assert schema_problem(recorded, versions()[0]) == "its schema cannot be read"
