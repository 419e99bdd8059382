"""A message as a recording keeps it: one MessagePack document, and the JSON schema that says what is in it.

    {"message": the header with its payload, as on the wire, "arrays": [the bytes of array 1, of array 2, …]}

An array inside the payload is what it is on the wire, `{"frame": n, "dtype": "|u1", "shape": [h, w]}`, and `n` counts
`arrays` from 1. docs/messages.md says all of it.
"""

from functools import cache
from typing import Any

import msgspec
import numpy as np

from emopipe.pipeline.message import Buffer, Codec, Message, Payload, WireError

RECORDING_VERSION = 1
MESSAGE_ENCODING = "msgpack"
SCHEMA_ENCODING = "jsonschema"
LIMITS = ("minimum", "maximum", "maxLength", "maxItems")  # of a schema; a message is held to those of today

_ARRAY_SCHEMA = {
    "description": "its bytes, in C order, are item `frame` - 1 of `arrays`; `dtype` is NumPy's type string",
    "type": "object",
    "properties": {
        "frame": {"type": "integer"},
        "dtype": {"type": "string"},
        "shape": {"type": "array", "items": {"type": "integer"}},
    },
    "required": ["frame", "dtype", "shape"],
}


class Document(msgspec.Struct):
    """One recorded message."""

    message: msgspec.Raw
    arrays: list[bytes]


class DocumentCodec:
    """Encodes and decodes the messages of one channel, whose payload is of one type. Not for concurrent use."""

    def __init__(self, payload: type[Payload]) -> None:
        self._codec = Codec(payload)
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Document)

    def encode(self, message: Message) -> bytes:
        header, *arrays = self._codec.encode(message)
        # memoryviews are written as bytes are, without a copy before
        return self._encoder.encode({"message": msgspec.Raw(header), "arrays": arrays})

    def decode(self, data: Buffer) -> Message:
        """The message, checked as one that came over a link.

        Raises:
            WireError: the bytes are no message of this type.
        """
        try:
            document = self._decoder.decode(data)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise WireError(f"not a recorded message: {error}") from None
        return self._codec.decode([bytes(document.message), *document.arrays])


@cache
def schema(payload: type[Payload]) -> bytes:
    """The JSON schema (draft 2020-12) of a channel's documents."""
    (message, carried), definitions = msgspec.json.schema_components(
        [Message, payload], schema_hook=_array_schema, ref_template="#/$defs/{name}"
    )
    definitions["Message"]["properties"]["payload"] = {"anyOf": [carried, {"type": "null"}]}
    binary = {"description": "bytes", "contentEncoding": "binary"}
    document = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": payload.__name__,
        "type": "object",
        "properties": {"message": message, "arrays": {"type": "array", "items": binary}},
        "required": ["message", "arrays"],
        "$defs": definitions,
    }
    return msgspec.json.encode(document)


def schema_problem(recorded: bytes, payload: type[Payload]) -> str | None:
    """In what documents of a recorded schema do not fit a type of today; None where each may fit.

    A field that has come since with a default, or has gone since, does not matter.
    """
    try:
        then = msgspec.json.decode(recorded, type=dict[str, Any])
        known = {name: dict(each.get("properties", {})) for name, each in then["$defs"].items()}
    except (msgspec.MsgspecError, LookupError, AttributeError, TypeError, ValueError, RecursionError):
        return "its schema cannot be read"
    for name, each in msgspec.json.decode(schema(payload))["$defs"].items():
        if name not in known:
            continue  # then its field is new too
        for field in each.get("required", ()):
            if field not in known[name]:
                return f"{name} had no field {field!r} then"
        for field, kind in each.get("properties", {}).items():
            if field in known[name] and _shape(known[name][field]) != _shape(kind):
                return f"field {field!r} of {name} was of another type then"
    return None


def _shape(value: Any) -> Any:
    """A schema without words, defaults and limits: which types the values have."""
    if isinstance(value, dict):
        left_out = ("description", "title", "default", *LIMITS)
        return {key: _shape(each) for key, each in value.items() if key not in left_out}
    return [_shape(each) for each in value] if isinstance(value, list) else value


def _array_schema(kind: type) -> dict[str, Any]:
    if issubclass(kind, np.ndarray):
        return _ARRAY_SCHEMA
    raise NotImplementedError(f"a payload cannot hold a {kind.__name__}")
