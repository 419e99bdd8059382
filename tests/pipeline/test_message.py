"""emopipe.pipeline.message: what is encoded decodes to the same, and nothing else decodes."""

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from emopipe.pipeline.message import (
    MAX_HEADER_BYTES,
    MAX_HOPS,
    MAX_PARTS,
    MAX_STREAM_CHARS,
    WIRE_VERSION,
    Codec,
    Hop,
    Message,
    Payload,
    WireError,
)
from tests.support.payloads import Other


class Thing(Payload):
    image: NDArray[np.uint8]
    rows: list[NDArray[np.float32]]
    note: str = ""


def thing(image: NDArray[np.uint8], rows: list[NDArray[np.float32]]) -> Message:
    return Message(
        kind="data",
        stream="a",
        seq=7,
        pts=-5,
        duration=40,
        watermark=2**62,
        epoch=3,
        trace=[Hop("capture", 1, 2), Hop("faces", 3, 0)],
        type="Thing",
        payload=Thing(image=image, rows=rows, note="ü"),
    )


@given(
    arrays.arrays(np.uint8, arrays.array_shapes(max_dims=3, min_side=0, max_side=9)),
    st.lists(arrays.arrays(np.float32, arrays.array_shapes(max_dims=2, max_side=5)), max_size=3),
)
def test_a_message_survives_the_wire(image: NDArray[np.uint8], rows: list[NDArray[np.float32]]) -> None:
    sent = thing(image, rows)
    codec = Codec(Thing)
    got = codec.decode([bytes(part) for part in codec.encode(sent)])
    for field in msgspec.structs.fields(Message):
        if field.name != "payload":
            assert getattr(got, field.name) == getattr(sent, field.name)
    assert got.payload.note == "ü"
    for mine, theirs in zip([got.payload.image, *got.payload.rows], [image, *rows], strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


def test_arrays_travel_as_frames_of_their_own_and_without_a_copy() -> None:
    image = np.arange(12, dtype=np.uint8).reshape(3, 4)
    header, frame = Codec(Thing).encode(thing(image, []))
    assert msgspec.msgpack.decode(header)["payload"]["image"] == {"frame": 1, "dtype": "|u1", "shape": [3, 4]}
    assert np.shares_memory(np.frombuffer(frame, np.uint8), image)


def test_an_array_that_is_not_contiguous_keeps_its_values() -> None:
    image = np.arange(24, dtype=np.uint8).reshape(4, 6)[::2, ::3]
    codec = Codec(Thing)
    np.testing.assert_array_equal(codec.decode(codec.encode(thing(image, []))).payload.image, image)


def test_a_decoded_array_cannot_be_changed() -> None:
    codec = Codec(Thing)
    got = codec.decode([bytes(part) for part in codec.encode(thing(np.zeros((2, 2), np.uint8), []))])
    with pytest.raises(ValueError, match="read-only"):
        got.payload.image[0, 0] = 1


@pytest.mark.parametrize("kind", ["gap", "watermark", "eos"])
def test_messages_without_payload(kind: str) -> None:
    codec = Codec(Thing)
    sent = Message(kind=kind, stream="s", watermark=9)  # type: ignore[arg-type]
    assert codec.decode(codec.encode(sent)) == sent


def test_a_message_of_another_type_is_refused() -> None:
    parts = Codec(Other).encode(Message(kind="data", stream="s", type="Other", payload=Other(x=1)))
    with pytest.raises(WireError, match="'Other', but 'Thing' was expected"):
        Codec(Thing).decode(parts)


def test_another_version_is_refused() -> None:
    parts = Codec(Other).encode(Message(kind="eos", stream="s", version=WIRE_VERSION + 1))
    with pytest.raises(WireError, match=f"version {WIRE_VERSION + 1}"):
        Codec(Other).decode(parts)


def test_an_array_of_another_dtype_is_refused() -> None:
    message = thing(np.zeros((2, 2), np.int16), [])  # type: ignore[arg-type]
    codec = Codec(Thing)
    with pytest.raises(WireError, match=r"array of <i2, expected [|]u1"):
        codec.decode(codec.encode(message))


def changed(**fields: object) -> list[bytes]:
    """A right message of type `Thing`, but for some fields of its header."""
    header, *arrays = Codec(Thing).encode(thing(np.zeros((2, 2), np.uint8), []))
    return [msgspec.msgpack.encode(msgspec.msgpack.decode(header) | fields), *map(bytes, arrays)]


def test_what_is_within_the_limits_is_read() -> None:
    most = {"stream": "x" * MAX_STREAM_CHARS, "seq": 2**63 - 1, "trace": [["capture", 1, 2]] * MAX_HOPS}
    assert Codec(Thing).decode(changed(**most)).seq == 2**63 - 1


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": "date"},
        {"stream": "x" * (MAX_STREAM_CHARS + 1)},
        {"seq": -1},
        {"seq": 2**63},
        {"pts": 2**63},
        {"watermark": 2**64 - 1},
        {"epoch": -1},
        {"trace": [["capture", 1, 2]] * (MAX_HOPS + 1)},
        {"trace": [["x" * 1000, 1, 2]]},
        {"payload": {"image": {"frame": 1, "dtype": "O", "shape": [2, 2]}, "rows": [], "note": ""}},
        {"payload": {"image": {"frame": 1, "dtype": "i4,(99999,)i4", "shape": [2, 2]}, "rows": [], "note": ""}},
        {"payload": {"image": {"frame": 1, "dtype": "|u1", "shape": [-1, 2]}, "rows": [], "note": ""}},
        {"payload": {"image": {"frame": 1, "dtype": "|u1", "shape": [2**40, 2**40]}, "rows": [], "note": ""}},
        {"payload": {"image": {"frame": 1, "dtype": "|u1", "shape": [1] * 9}, "rows": [], "note": ""}},
        {"payload": {"image": {"frame": 0, "dtype": "|u1", "shape": [2, 2]}, "rows": [], "note": ""}},
        {"payload": {"image": {"frame": 2, "dtype": "|u1", "shape": [2, 2]}, "rows": [], "note": ""}},
        {"payload": {"image": {"frame": 1, "dtype": "|u1", "shape": [2, 2]}, "rows": [], "note": 5}},
        {"payload": {}},
    ],
)
def test_a_field_beyond_its_limits_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(WireError):
        Codec(Thing).decode(changed(**fields))


def test_a_message_of_too_many_parts_or_too_large_a_header_is_refused_before_it_is_read() -> None:
    with pytest.raises(WireError, match="a message of 4097 parts"):
        Codec(Thing).decode([*changed(), *[b""] * MAX_PARTS][: MAX_PARTS + 1])
    with pytest.raises(WireError, match="the first of 4194305 bytes"):
        Codec(Thing).decode([bytes(MAX_HEADER_BYTES + 1)])


@pytest.mark.parametrize("bracket", [b"\x91", b"\x81\xa1x"])
def test_what_is_nested_without_end_is_refused(bracket: bytes) -> None:
    header = msgspec.msgpack.encode({"kind": "data", "stream": "s", "type": "Thing"})[1:]
    nested = b"\x84" + header + b"\xa7payload" + bracket * 1_000_000 + b"\xc0"
    with pytest.raises(WireError):
        Codec(Thing).decode([nested])


@given(st.binary(max_size=200))
def test_bytes_that_are_no_message_are_refused(junk: bytes) -> None:
    with pytest.raises(WireError):
        Codec(Thing).decode([junk])


@given(st.data())
def test_a_damaged_message_is_refused_or_read_but_never_breaks(data: st.DataObject) -> None:
    codec = Codec(Thing)
    parts = [bytearray(p) for p in codec.encode(thing(np.zeros((2, 2), np.uint8), [np.ones(2, np.float32)]))]
    at = data.draw(st.integers(0, len(parts[0]) - 1))
    parts[0][at] = data.draw(st.integers(0, 255))
    dropped = data.draw(st.integers(1, len(parts)))
    try:
        got = codec.decode([bytes(part) for part in parts[:dropped]])
    except WireError:
        return
    assert isinstance(got, Message)
